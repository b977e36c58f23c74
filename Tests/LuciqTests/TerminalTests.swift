import Foundation
import TestSupport
import Testing

/// Prompts and output for people, and their answers.
@Suite(.serialized, .timeLimit(.minutes(5))) struct TerminalTests {
    @Test func serveGreetsAndLogsForPeople() async throws {
        let folder = try TemporaryFolder()
        let terminal = try PseudoTerminal()
        let server = try LuciqProcess(["serve", "--port", "0"], in: folder, terminal: terminal)
        try await terminal.waitFor("Ctrl-C stops it.")
        // The log has a queue of its own.
        try await terminal.waitFor("INFO listening")
        let match = try #require(terminal.text.firstMatch(of: /Luciq Chat is running: http:..127\.0\.0\.1:(\d+)/))
        #expect(terminal.text.contains("The data is in \(folder.path)/data/luciq.sqlite"))
        #expect(terminal.text.contains(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO listening database=.* url=http:/))
        // The line that it proposes is true.
        let client = Client(port: try #require(Int(match.1)))
        let path = try await client.makeApplication()
        try await terminal.waitFor("method=POST")
        #expect(terminal.text.contains(/Z INFO request .*route=\/applications status=201/))
        #expect(!terminal.text.contains(path.suffix(32)))
        server.signal(SIGINT)
        #expect(await server.wait().code == 0)
        try await terminal.waitFor("INFO stopped")
        // JSON is for machines, unless it is asked for.
        #expect(!terminal.text.contains("{\"time\""))
    }

    @Test func theLogFormatIsWhatIsAskedFor() async throws {
        let folder = try TemporaryFolder()
        let terminal = try PseudoTerminal()
        let server = try LuciqProcess(
            ["serve", "--port", "0", "--log-format", "json"], in: folder, terminal: terminal)
        try await terminal.waitFor("\"message\":\"listening\"")
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
    }

    @Test func verifyShowsABar() async throws {
        let folder = try TemporaryFolder()
        #expect(try await LuciqProcess.run(["db", "migrate"], in: folder).code == 0)
        let terminal = try PseudoTerminal()
        let verify = try LuciqProcess(["verify"], in: folder, terminal: terminal)
        #expect(await verify.wait().code == 0)
        try await terminal.waitFor("Everything is as promised.")
        #expect(terminal.text.contains("100 %"))
    }

    @Test(arguments: [("yes\n", true), ("no\n", false), ("YES\n", false), ("y\n", false), ("\n", false), ("", false)])
    func resetAsks(_ answer: String, _ isDone: Bool) async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        _ = try await client.makeChat()
        server.signal(SIGTERM)
        await server.wait()
        let url = ["DATABASE_URL": "sqlite://" + folder.file("test.sqlite")]
        let reset = try await LuciqProcess.run(["db", "reset"], in: folder, environment: url, input: answer)
        #expect(reset.output.contains("This deletes every application, chat and message in"))
        #expect(reset.code == (isDone ? 0 : 69))
        #expect(reset.errors.contains("Nothing was deleted") == !isDone)
        let status = try await LuciqProcess.run(["db", "status", "--json"], in: folder, environment: url)
        let report = try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any]
        #expect(report?["chats"] as? Int == (isDone ? 0 : 1))
    }

    @Test func resetAsksAtATerminal() async throws {
        let folder = try TemporaryFolder()
        #expect(try await LuciqProcess.run(["db", "migrate"], in: folder).code == 0)
        let terminal = try PseudoTerminal()
        let reset = try LuciqProcess(["db", "reset"], in: folder, terminal: terminal)
        try await terminal.waitFor("Type yes to go on:")
        terminal.type("yes\n")
        #expect(await reset.wait().code == 0)
        try await terminal.waitFor("is empty.")
    }
}
