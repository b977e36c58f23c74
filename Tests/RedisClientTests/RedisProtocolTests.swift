import NIOCore
import Testing

@testable import RedisClient

@Suite(.timeLimit(.minutes(2))) struct RedisProtocolTests {
    /// All replies parsed from the text, which is fed in pieces of a given size.
    private func replies(to text: String, pieces: Int = .max, maxReplyBytes: Int = 1 << 20) throws -> [RedisReply] {
        var reader = RedisReader(maxReplyBytes: maxReplyBytes)
        var replies: [RedisReply] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(pieces))
            rest = rest.dropFirst(piece.count)
            try piece.withUnsafeBytes { bytes in try reader.read(bytes) { replies.append($0) } }
        }
        return replies
    }

    @Test(arguments: [1, 2, 3, 7, .max])
    func readsRepliesInPieces(pieces: Int) throws {
        let text =
            "+OK\r\n:-7\r\n$-1\r\n$0\r\n\r\n$4\r\na\r\nb\r\n-ERR no\r\n*-1\r\n*0\r\n*2\r\n*1\r\n:1\r\n-ERR in\r\n"
        let expected: [RedisReply] = [
            .success(.status("OK")), .success(.integer(-7)), .success(.null), .success(.text([])),
            .success(.text(Array("a\r\nb".utf8))), .failure(.server("ERR no")), .success(.null), .success(.array([])),
            .success(.array([.array([.integer(1)]), .error("ERR in")])),
        ]
        #expect(try replies(to: text, pieces: pieces) == expected)
    }

    @Test func boundsAnUnfinishedReply() throws {
        let many = String(repeating: ":1\r\n", count: 100_000)
        #expect(try replies(to: many, maxReplyBytes: 50_000).count == 100_000)
        #expect(throws: RedisReader.Failure.self) {
            try replies(to: "$100000\r\n" + String(repeating: "x", count: 80_000), maxReplyBytes: 50_000)
        }
        #expect(throws: RedisReader.Failure.self) {
            try replies(to: "*100\r\n" + String(repeating: "$1000\r\n", count: 1), maxReplyBytes: 50)
        }
    }

    /// A dozen bytes must not make the client allocate gigabytes.
    @Test(arguments: ["*2000000000\r\n", "*100\r\n*2000000000\r\n"])
    func boundsAnnouncedElements(text: String) {
        #expect {
            try replies(to: text)
        } throws: { error in
            if case RedisReader.Failure.tooLarge = error { true } else { false }
        }
    }

    @Test(arguments: [
        "HTTP/1.1 400 Bad Request\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", ":12x\r\n",
        "\r\n",
    ])
    func saysWhatIsNoReply(text: String) {
        #expect {
            try replies(to: text)
        } throws: { error in
            if case RedisReader.Failure.nonsense(let text) = error { !text.isEmpty } else { false }
        }
    }

    @Test func writesCommands() {
        var command = RedisCommand("SET", "", "ünï")
        command.append(-12)
        command.append([0, 13, 10, 255])
        var buffer = ByteBuffer()
        command.encode(into: &buffer)
        let head = Array("*5\r\n$3\r\nSET\r\n$0\r\n\r\n$5\r\nünï\r\n$3\r\n-12\r\n$4\r\n".utf8)
        #expect(Array(buffer.readableBytesView) == head + [0, 13, 10, 255, 13, 10])
        #expect(command.encodedSize >= buffer.readableBytes)
        #expect(command.arguments == [Array("SET".utf8), [], Array("ünï".utf8), Array("-12".utf8), [0, 13, 10, 255]])
        #expect(RedisCommand(bytes: command.arguments) == command)
    }

    @Test func readsValues() {
        #expect(RedisValue.text(Array("-42".utf8)).integer == -42)
        #expect(RedisValue.text(Array("4x".utf8)).integer == nil)
        #expect(RedisValue.integer(3).string == nil)
        #expect(RedisValue.status("OK").string == "OK")
        #expect(RedisValue.array([.null]).array == [.null])
        #expect(RedisError.server("WRONGTYPE Operation").prefix == "WRONGTYPE")
        #expect(RedisError.tooLarge.prefix == nil)
    }

    @Test func knowsAScriptsSHA1() {
        #expect(RedisScript("return 1").sha1 == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db")
    }
}
