import Foundation
import Synchronization
import TestSupport
import Testing

@testable import luciq

/// `luciq send`: how it splits its input into messages, and that each is stored once.
@Suite(.serialized, .timeLimit(.minutes(5))) struct SendTests {
    private static let token = ChatAddressTests.token
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func messages(_ text: String, isLines: Bool) throws -> [String] {
        var input = TextInput(isLines: isLines)
        var all: [String] = []
        for byte in text.utf8 { all += try input.read([byte]) }
        if let rest = try input.end() { all.append(rest) }
        return all
    }

    @Test(arguments: [
        ("a", ["a"], ["a"]), ("a\n", ["a"], ["a"]), ("a\r\n", ["a"], ["a"]), ("a\n\n", ["a\n"], ["a"]),
        ("a\nb\r\n\n  \nc", ["a\nb\r\n\n  \nc"], ["a", "b", "c"]), (" a \n", [" a "], [" a "]),
        ("", [""], []), ("\n", [""], []), ("é\n漢", ["é\n漢"], ["é", "漢"]), ("a\rb", ["a\rb"], ["a\rb"]),
    ])
    func whatIsAMessage(_ text: String, _ whole: [String], _ lines: [String]) throws {
        #expect(try messages(text, isLines: false) == whole)
        #expect(try messages(text, isLines: true) == lines)
    }

    @Test(arguments: [false, true]) func aMessageIsBounded(_ isLines: Bool) throws {
        let longest = String(repeating: "x", count: 65_535)
        for end in ["", "\n", "\r\n"] {
            #expect(try messages(longest + end, isLines: isLines) == [longest])
            #expect(throws: TextInput.Invalid.tooLong) { try messages(longest + "x" + end, isLines: isLines) }
        }
        // It must not wait for an end of input that never comes.
        var input = TextInput(isLines: isLines)
        #expect(throws: TextInput.Invalid.tooLong) { try input.read([UInt8](repeating: 0x78, count: 100_000)) }
        input = TextInput(isLines: isLines)
        _ = try input.read([0x61, 0xFF])
        #expect(throws: TextInput.Invalid.notUTF8) { try input.end() }
    }

    /// The answer is lost, then the server is busy: every retry is the same message.
    @Test func triesAgainWithTheSameKey() async throws {
        let keys = Mutex<[String]>([])
        let server = try await StandInServer { exchange in
            #expect(exchange.request.hasSuffix(#"{"body":"it's \"x\""}"#))
            let key = exchange.request.firstMatch(of: /(?i)idempotency-key: ([^\r]+)/)?.1
            keys.withLock { $0.append(key.map(String.init) ?? "") }
            switch exchange.index {
            case 0: return
            case 1: try await exchange.answer("503 Service Unavailable", json: #"{"detail":"Busy."}"#)
            default: try await exchange.answer("201 Created", json: #"{"message_number":7,"body":"","created_at":""}"#)
            }
        }
        let result = try await LuciqProcess.run(
            ["send", Self.token, "7", "it's \"x\"", "--url", "http://127.0.0.1:\(server.port)"], in: folder)
        #expect(result == (0, "7\n", ""))
        let seen = keys.withLock { $0 }
        #expect(seen.count == 3 && Set(seen).count == 1 && seen[0].hasPrefix("luciq-send-"))
    }

    @Test func givesUpInTime() async throws {
        let arguments = ["send", Self.token, "7", "x", "--patience", "1", "--url", "http://127.0.0.1:"]
        let away = try await LuciqProcess.run(
            arguments.dropLast() + ["http://127.0.0.1:\(try FreePort.any())"], in: folder)
        let sentence = "luciq: The server cannot be reached: connection refused. The message was not stored.\n"
        #expect(away == (75, "", sentence))
        let server = try await StandInServer { _ in }
        let lost = try await LuciqProcess.run(
            arguments.dropLast() + ["http://127.0.0.1:\(server.port)"], in: folder)
        #expect(lost.code == 75)
        #expect(lost.errors.hasSuffix("It is not known whether the message was stored.\n"))
    }

    @Test func toARealServer() async throws {
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        let token = String(chat.split(separator: "/")[1])
        let environment = ["LUCIQ_URL": "http://127.0.0.1:\(client.port)"]
        func send(
            _ arguments: [String], input: String? = nil, to chat: String = "1"
        ) async throws -> (code: Int32, output: String, errors: String) {
            try await LuciqProcess.run(
                ["send", token, chat] + arguments, in: folder, environment: environment, input: input)
        }
        #expect(try await send(["é \u{1} \"\\"]) == (0, "1\n", ""))
        #expect(try await send([], input: "two\nlines\n") == (0, "2\n", ""))
        #expect(try await send(["--lines"], input: "a\n\nb\r\nc") == (0, "3\n4\n5\n", ""))
        #expect(try await send(["--", "-dash"]) == (0, "6\n", ""))
        // A refused line ends it; earlier lines stay stored.
        let refused = try await send(["--lines"], input: "d\na\0b\ne\n")
        #expect(refused == (65, "7\n", "luciq: Body contains a null character.\n"))
        let tooLong = try await send([String(repeating: "x", count: 65_536)])
        #expect(tooLong == (65, "", "luciq: Body is too long (maximum is 65535 bytes).\n"))
        #expect(try await send([" "]) == (65, "", "luciq: Body can't be blank.\n"))
        #expect(try await send([]) == (65, "", "luciq: Body can't be blank.\n"))
        #expect(try await send([], input: "a\0b") == (65, "", "luciq: Body contains a null character.\n"))
        let missing = try await send(["x"], to: "2")
        #expect(missing.code == 69 && missing.errors.hasPrefix("luciq: There is no chat 2 of application "))
        #expect(try await send(["x", "--lines"]).code == 64)
        #expect(try await send(["x", "--patience", "0"]).code == 64)
        let bodies = try await client.get(chat + "/messages").list.map { $0["body"] as? String }
        #expect(bodies == ["é \u{1} \"\\", "two\nlines", "a", "b", "c", "-dash", "d"])
        server.signal(SIGKILL)
    }

    /// Each line is sent when it is typed; a refusal is printed, and typing goes on.
    @Test func atATerminal() async throws {
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        let terminal = try PseudoTerminal()
        let send = try LuciqProcess(
            ["send", String(chat.split(separator: "/")[1]), "1", "--url", "http://127.0.0.1:\(client.port)"],
            in: folder, terminal: terminal)
        try await terminal.waitFor("luciq: A line is a message. Ctrl-D ends.")
        terminal.type("hello\n")
        try await terminal.waitFor("\n1\r\n")
        terminal.type("a\u{16}\0b\n")
        try await terminal.waitFor("luciq: Body contains a null character.")
        terminal.type("again\n")
        try await terminal.waitFor("\n2\r\n")
        terminal.type("\u{4}")
        #expect(await send.wait().code == 0)
        server.signal(SIGKILL)
    }
}
