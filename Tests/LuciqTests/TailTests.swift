import Foundation
import TestSupport
import Testing

/// `luciq tail`, run as a user runs it, against a server that misbehaves on demand.
@Suite(.serialized, .timeLimit(.minutes(5))) struct TailTests {
    private static let token = ChatAddressTests.token
    private static let luciq = LuciqProcess.product("luciq").path
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func arguments(_ port: Int, _ more: [String]) -> [String] {
        ["tail", Self.token, "7", "--url", "http://127.0.0.1:\(port)"] + more
    }

    private func tail(_ port: Int, _ more: String...) throws -> ServerProcess {
        try ServerProcess(
            [Self.luciq] + arguments(port, more), log: folder.file("out"), errors: folder.file("err"),
            environment: ["TZ": "UTC"])
    }

    private func lines(_ numbers: ClosedRange<Int>) -> String {
        numbers.map { "\($0)  2026-11-22 16:57:44  m\($0)\n" }.joined()
    }

    private var errors: String { (try? String(contentsOfFile: folder.file("err"), encoding: .utf8)) ?? "" }

    @Test func goesOnWhereItWasLost() async throws {
        let server = try await StandInServer { exchange in
            let after = exchange.request.firstMatch(of: /GET .*\/stream\?after=(\d+) HTTP/)?.1
            switch exchange.index {
            case 0:
                #expect(after == "0")
                #expect(exchange.request.contains("GET /applications/\(Self.token)/chats/7/stream?"))
                try await exchange.writeStreamHead()
                try await exchange.writeMessages(1...3)
                // In the middle of an event.
                try await exchange.write("id: 4\nevent: message\ndata: {\"number\":4,")
            case 1:
                #expect(after == "3")
                try await exchange.answer("503 Service Unavailable", json: #"{"detail":"Busy."}"#)
            case 2:
                #expect(after == "3")
                try await exchange.writeStreamHead()
                try await exchange.writeMessages(2...5)
                try await exchange.write("event: close\ndata: {\"code\":\"going_away\",\"reconnect\":true}\n\n")
                // Events after the stream's end are ignored.
                try await exchange.writeMessages(6...7)
                try await exchange.hold()
            default:
                #expect(after == "5")
                try await exchange.writeStreamHead()
                try await exchange.writeMessages(6...8)
                try await exchange.hold()
            }
        }
        let tail = try tail(server.port, "--after", "0")
        try await tail.prints(lines(8...8))
        tail.signal(SIGINT)
        #expect(await tail.end(within: 10) == 130)
        #expect(tail.output == lines(1...8))
        // Standard error is not a terminal: no status is printed.
        #expect(errors == "")
    }

    /// Also when the connection is lost before the first message.
    @Test func withoutAfterItBeginsWithTheNext() async throws {
        let server = try await StandInServer { exchange in
            switch exchange.index {
            case 0:
                #expect(exchange.request.contains("/chats/7/stream HTTP"))
                try await exchange.writeStreamHead()
                try await exchange.write("id: 41\n\n")
            default:
                #expect(exchange.request.contains("/stream?after=41 HTTP"))
                try await exchange.writeStreamHead()
                try await exchange.writeMessages(42...43)
                try await exchange.hold()
            }
        }
        let tail = try tail(server.port)
        try await tail.prints(lines(42...43))
        tail.signal(SIGTERM)
        #expect(await tail.end(within: 10) == 143)
        #expect(tail.output == lines(42...43))
    }

    @Test func aConnectionThatSaysNothingIsDead() async throws {
        let server = try await StandInServer { exchange in
            if exchange.index > 1 { #expect(exchange.request.contains("/stream?after=1 HTTP")) }
            // First no answer at all, then silence after a message; comments keep the stream alive.
            if exchange.index == 0 { try await exchange.hold() }
            try await exchange.writeStreamHead()
            if exchange.index == 1 { try await exchange.writeMessages(1...1) }
            if exchange.index < 2 { try await exchange.hold() }
            for _ in 0..<6 {
                try await Task.sleep(for: .milliseconds(400))
                try await exchange.write(":\n\n")
            }
            try await exchange.writeMessages(2...2)
            try await exchange.hold()
        }
        let tail = try tail(server.port, "--after", "0", "--silence", "1")
        try await tail.prints(lines(2...2))
        #expect(tail.output == lines(1...2))
    }

    @Test func jsonIsAnObjectALine() async throws {
        let json = #"{"number":1,"body":"a\nb ","created_at":"2026-11-22T16:57:44.194Z","more":[1]}"#
        let server = try await StandInServer { exchange in
            try await exchange.writeStreamHead()
            try await exchange.write("data: \(json.replacing(",\"more\"", with: ",\ndata: \"more\""))\nid: 1\n\n")
            try await exchange.hold()
        }
        let tail = try tail(server.port, "--after", "0", "--json")
        try await tail.prints("\n")
        #expect(tail.output == json.replacing(",\"more\"", with: ", \"more\"") + "\n")
    }

    /// `head` has closed the pipe; `tail` ends even if it has nothing more to write.
    @Test func endsWithItsReader() async throws {
        let server = try await StandInServer { exchange in
            try await exchange.writeStreamHead()
            try await exchange.writeMessages(1...3)
            try await exchange.hold()
        }
        let command = ([Self.luciq] + arguments(server.port, ["--after", "0"])).joined(separator: " ")
        let script = "TZ=UTC \(command) | head -n 2; echo ${PIPESTATUS[*]}"
        #expect(try await runProgram(["bash", "-c", script]) == lines(1...2) + "0 0")
    }

    @Test func aDiskThatIsFullIsAnError() async throws {
        guard access("/dev/full", W_OK) == 0 else { return }
        let server = try await StandInServer { exchange in
            try await exchange.writeStreamHead()
            try await exchange.writeMessages(1...3)
            try await exchange.hold()
        }
        let command = ([Self.luciq] + arguments(server.port, ["--after", "0"])).joined(separator: " ")
        let result = try await runProgram(["bash", "-c", "\(command) 2>&1 >/dev/full; echo $?"])
        #expect(result == "luciq: The output cannot be written: No space left on device.\n74")
    }

    @Test(arguments: [
        ("404 Not Found", #"{"code":"not_found"}"#, "There is no chat 7 of application 012345… at http://127.0.0.1:"),
        ("403 Forbidden", #"{"detail":"Not you."}"#, "Not you."),
        ("204 No Content", "", "There is no Luciq Chat server at"),
        ("200 OK", "{}", "There is no Luciq Chat server at"),
        ("302 Found", "", "http://127.0.0.1:"),
        ("banana", "", "There is no HTTP server at http://127.0.0.1:"),
    ])
    func finalAnswersEndIt(_ status: String, _ json: String, _ sentence: String) async throws {
        let server = try await StandInServer { try await $0.answer(status, json: json) }
        let result = try await LuciqProcess.run(arguments(server.port, ["--after", "0"]), in: folder)
        #expect(result.code == 69)
        #expect(result.errors.hasPrefix("luciq: " + sentence), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
        #expect(!result.errors.contains(Self.token))
    }

    @Test(arguments: [
        (["--url", "localhost:3000"], 64, "The server's URL must look like"),
        (["--after=-1"], 64, "--after must be a message's number, or 0."),
        (["--url", "http://no.such.host.invalid"], 69, "There is no host named no.such.host.invalid."),
    ])
    func mistakesAreOneSentence(_ flags: [String], _ code: Int32, _ sentence: String) async throws {
        let result = try await LuciqProcess.run(["tail", Self.token, "7"] + flags, in: folder)
        #expect(result.code == code)
        #expect(result.errors.hasPrefix("luciq: " + sentence), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    @Test func theEnvironmentNamesTheServer() async throws {
        let server = try await StandInServer { try await $0.answer("403 Forbidden", json: #"{"detail":"Here."}"#) }
        let result = try await LuciqProcess.run(
            ["tail", Self.token, "7"], in: folder, environment: ["LUCIQ_URL": "http://127.0.0.1:\(server.port)/"])
        #expect(result.errors == "luciq: Here.\n")
    }

    /// `openssl s_server` answers as a simple web server: a client that gets its answer has trusted its certificate.
    @Test func onlyATrustedServerIsSpokenWith() async throws {
        let files = try await TLSFiles.make()
        let port = try FreePort.any()
        let server = try ServerProcess(
            ["openssl", "s_server", "-accept", "\(port)", "-cert", files.certificate, "-key", files.key, "-www"],
            log: folder.file("openssl"))
        try await server.prints("ACCEPT")
        for (host, authority, sentence) in [
            ("localhost", files.ca, "There is no Luciq Chat server at https://localhost:\(port): it answers 200 with"),
            ("127.0.0.1", files.ca, "There is no Luciq Chat server at https://127.0.0.1:\(port): it answers 200 with"),
            ("localhost", files.otherCA, "The certificate of localhost is not to be trusted."),
            ("localhost", "", "The certificate of localhost is not to be trusted."),
        ] {
            let result = try await LuciqProcess.run(
                ["tail", Self.token, "7", "--url", "https://\(host):\(port)"], in: folder,
                environment: ["SSL_CERT_FILE": authority])
            #expect(result.code == 69)
            #expect(result.errors.hasPrefix("luciq: " + sentence), "\(result.errors)")
        }
        let (plain, client) = try await LuciqProcess.serve(in: folder)
        let result = try await LuciqProcess.run(
            ["tail", Self.token, "7", "--url", "https://127.0.0.1:\(client.port)"], in: folder)
        #expect(result.code == 69 && result.errors.hasPrefix("luciq: No TLS connection"), "\(result.errors)")
        plain.signal(SIGKILL)
        let nothing = try await LuciqProcess.run(
            ["tail", Self.token, "7"], in: folder, environment: ["SSL_CERT_FILE": folder.file("nothing")])
        #expect(nothing.code == 69)
        #expect(nothing.errors == "luciq: SSL_CERT_FILE must name a file of certificates.\n")
    }

    @Test func atATerminalTheConnectionIsTold() async throws {
        let port = try FreePort.any()
        let terminal = try PseudoTerminal()
        let tail = try LuciqProcess(
            arguments(port, ["--after", "0"]), in: folder, environment: ["TZ": "UTC"], terminal: terminal)
        try await terminal.waitFor("luciq: The server cannot be reached: connection refused. Trying again.")
        let server = try await StandInServer(port: port) { exchange in
            try await exchange.writeStreamHead()
            try await exchange.write(
                #"data: {"number":1,"body":"\u001b[2J!","created_at":"2026-11-22T16:57:44.194Z"}"# + "\n\n")
            try await exchange.hold()
        }
        try await terminal.waitFor("luciq: Connected.\r\n")
        try await terminal.waitFor("1  2026-11-22 16:57:44  ␛[2J!")
        #expect(terminal.text.components(separatedBy: "refused").count == 2)
        tail.signal(SIGINT)
        #expect(await tail.wait().code == 128 + SIGINT)
        withExtendedLifetime(server) {}
    }
}
