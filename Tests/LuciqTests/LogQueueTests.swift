import Foundation
import Logging
import Synchronization
import Testing

@testable import luciq

/// Log lines when standard error is slow, full or closed, and lines that contain text from outside.
@Suite(.timeLimit(.minutes(1))) struct LogQueueTests {
    /// No request waits for a log reader that has stopped; later lines are in order, and say how many are missing.
    @Test func aFullPipeHoldsNobodyUp() async throws {
        let pipe = Pipe()
        let queue = LogQueue(descriptor: pipe.fileHandleForWriting.fileDescriptor, capacity: 10_000)
        queue.onDrop { "dropped \($0)\n" }
        let padding = String(repeating: ".", count: 90)
        for number in 1...10_000 { queue.append("\(number) \(padding)\n") }
        // A line that comes later has room: the queue is written while we read.
        let reader = Task.detached {
            var text = ""
            var tail: Substring = ""
            while !tail.hasPrefix("last") {
                text += String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
                tail = text.split(separator: "\n").last ?? ""
            }
            return text
        }
        queue.flush(within: .seconds(30))
        queue.append("last\n")
        queue.flush(within: .seconds(30))
        let lines = await reader.value.split(separator: "\n")
        let numbers = lines.compactMap { Int($0.split(separator: " ")[0]) }
        #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
        let dropped = lines.compactMap { $0.firstMatch(of: /^dropped (\d+)$/).flatMap { Int($0.1) } }
        #expect(dropped.reduce(0, +) + numbers.count == 10_000)
        #expect(dropped.count > 0 && numbers.count < 5000)
    }

    @Test func flushingIsBounded() async throws {
        let pipe = Pipe()
        let queue = LogQueue(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        queue.append(String(repeating: "x", count: 500_000) + "\n")
        queue.flush(within: .milliseconds(10))
        // The thread that is stuck has room to end.
        try pipe.fileHandleForReading.close()
        signal(SIGPIPE, SIG_IGN)
        queue.flush(within: .seconds(30))
    }

    /// What could not be written is counted, on a full disk or when it is closed.
    @Test func whatIsLostIsSaid() throws {
        let folder = FileManager.default.temporaryDirectory
        let path = folder.appendingPathComponent("log-\(UUID().uuidString)").path
        defer { unlink(path) }
        let descriptor = open("/dev/full", O_WRONLY)
        try #require(descriptor >= 0)
        let queue = LogQueue(descriptor: descriptor)
        queue.onDrop { "dropped \($0)\n" }
        for _ in 1...3 {
            queue.append("lost\n")
            queue.flush(within: .seconds(30))
        }
        // The disk has room again.
        let file = open(path, O_WRONLY | O_CREAT, 0o600)
        dup2(file, descriptor)
        close(file)
        queue.append("kept\n")
        queue.flush(within: .seconds(30))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "kept\ndropped 3\n")
    }

    private func human(_ message: String, _ fields: KeyValuePairs<String, String>) -> String {
        let line = LineLogHandler.line(.info, message, fields.map { ($0, .string($1)) }, as: .human)
        return String(line.drop { $0 != " " }.dropFirst())
    }

    @Test(arguments: [
        ("mine-42", "mine-42"), ("/applications/{token}", "/applications/{token}"), ("", #""""#),
        ("a status=200 b", #""a status=200 b""#), ("a=b", #""a=b""#), ("a b", #""a b""#), (#"a"b"#, #""a\"b""#),
        (#"a\b"#, #""a\\b""#), ("a\nERROR b", #""a\nERROR b""#), ("a\r\n\tb", #""a\r\n\tb""#),
        ("\u{1B}[31m", #""\u001b[31m""#), ("\u{9B}31m", #""\u009b31m""#), ("a\u{2028}b", #""a\u2028b""#),
        ("a\u{85}b", #""a\u0085b""#), ("a\u{202E}b", #""a\u202eb""#), ("a\u{A0}b", "\"a\u{A0}b\""), ("é漢👍", "é漢👍"),
        ("\u{7F}", #""\u007f""#), ("a\u{0}", #""a\u0000""#),
    ])
    func aValueIsOneValue(_ value: String, _ shown: String) throws {
        #expect(human("request", ["id": value, "status": "404"]) == "INFO request id=\(shown) status=404\n")
        // JSON keeps the text unchanged.
        let line = LineLogHandler.line(.info, value, [("id", .string(value))], as: .json)
        #expect(!line.dropLast().unicodeScalars.contains { $0.properties.generalCategory == .control })
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String]
        #expect(object?["id"] == value && object?["message"] == value)
    }

    @Test func aMessageAndAKeyForgeNothing() {
        #expect(human("Redis is away", [:]) == "INFO Redis is away\n")
        #expect(human("x level=error", ["a b=c": "1"]) == "INFO \"x level=error\" \"a b=c\"=1\n")
        #expect(human("x\nERROR y", [:]) == "INFO \"x\\nERROR y\"\n")
    }
}
