import Foundation
import TestSupport
import Testing

/// Both clients of the terminal and a real server, which is killed under them.
@Suite(.serialized, .timeLimit(.minutes(5))) struct TailLiveTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func tail(_ port: Int, _ token: String, _ more: String...) throws -> ServerProcess {
        try ServerProcess(
            [LuciqProcess.product("luciq").path, "tail", token, "1", "--url", "http://127.0.0.1:\(port)"] + more,
            log: folder.file("out-\(UUID())"), errors: folder.file("err-\(UUID())"))
    }

    private func serve(on port: Int) async throws -> (server: LuciqProcess, client: Client) {
        let (server, client) = try await LuciqProcess.listening(
            ["serve", "--port", "\(port)"], in: folder,
            environment: ["DATABASE_URL": "sqlite://" + folder.file("test.sqlite")])
        return (server, client)
    }

    @Test func everyLineOnceAndInOrderWhateverIsKilled() async throws {
        let port = try FreePort.any()
        var (server, client) = try await serve(on: port)
        let token = String(try await client.makeChat().split(separator: "/")[1])
        let tail = try tail(port, token, "--after", "0")
        let lines = (1...1000).map { "line \($0)" }
        let send = try LuciqProcess(
            ["send", token, "1", "--lines", "--url", "http://127.0.0.1:\(port)"], in: folder,
            input: lines.joined(separator: "\n"))
        for seen in [50, 300, 700] {
            try await eventually("\(seen) lines") { tail.output.split(separator: "\n").count >= seen }
            server.signal(SIGKILL)
            await server.wait()
            (server, client) = try await serve(on: port)
        }
        let sent = await send.wait()
        #expect(sent.code == 0, "\(send.errorText)")
        #expect(sent.output == (1...1000).map { "\($0)\n" }.joined())
        try await tail.prints("  line 1000\n")
        // A number, a date, a time, the text.
        let shown = tail.output.split(separator: "\n").map { line in
            line.replacing(#/^(\d+)  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  /#) { "\($0.1) " }
        }
        #expect(shown == lines.enumerated().map { "\($0.offset + 1) \($0.element)" })
        // A server that shuts down says so; for the client that too is only a pause.
        server.signal(SIGTERM)
        await server.wait()
        (server, client) = try await serve(on: port)
        #expect(
            try await client.post("/applications/\(token)/chats/1/messages", json: #"{"body":"after"}"#).status == 201)
        try await tail.prints("  after\n")
        #expect(tail.output.split(separator: "\n").count == 1001)
        server.signal(SIGKILL)
    }

    /// Without `--after` it prints new messages only; with it, those after that number, as JSON equal to the API's.
    @Test func whereItBegins() async throws {
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        let token = String(chat.split(separator: "/")[1])
        for index in 1...3 { _ = try await client.post(chat + "/messages", json: "{\"body\":\"m\(index)\"}") }
        let (new, old) = (try tail(client.port, token), try tail(client.port, token, "--after", "2", "--json"))
        try await old.prints("\n")
        #expect(old.output == (try await client.get(chat + "/messages?after=2").text.dropFirst().dropLast()) + "\n")
        // Nothing shows when the other has begun; messages sent before that are old for it.
        try await eventually("it has begun") {
            _ = try await client.post(chat + "/messages", json: #"{"body":"next"}"#)
            return !new.output.isEmpty
        }
        #expect(new.output.split(separator: "\n").allSatisfy { $0.hasSuffix("  next") })
        let missing = try await LuciqProcess.run(
            ["tail", token, "2", "--url", "http://127.0.0.1:\(client.port)"], in: folder)
        #expect(missing.code == 69 && missing.errors.hasPrefix("luciq: There is no chat 2 of application "))
        server.signal(SIGKILL)
    }
}
