import NIOCore
import Testing

@testable import TLS

@Suite struct ClientHelloLimitTests {
    /// A record of plain text.
    private static func record(_ kind: UInt8, _ content: [UInt8]) -> [UInt8] {
        [kind, 3, 1, UInt8(content.count >> 8), UInt8(content.count & 0xFF)] + content
    }

    private static func start(of length: Int) -> [UInt8] {
        [1, UInt8(length >> 16), UInt8(length >> 8 & 0xFF), UInt8(length & 0xFF)]
    }

    private static func hello(_ length: Int) -> [UInt8] {
        record(22, start(of: length) + [UInt8](repeating: 7, count: length))
    }

    /// A ServerHello, or what the server says with that type, which asks for another ClientHello.
    private static let retryRequest = ByteBuffer(
        bytes: record(22, [2, 0, 0, 40, 3, 3, 0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 1, 2, 3]))
    private static let serverHello = ByteBuffer(bytes: record(22, [2, 0, 0, 40, 3, 3] + Array(0..<32)))

    /// Whether the bytes are admitted, at once and one by one; nil if that differs.
    private static func admits(_ bytes: [UInt8], after other: [UInt8] = [], answer: ByteBuffer? = nil) -> Bool? {
        var limit = ClientHelloLimit()
        _ = limit.admits(ByteBuffer(bytes: other))
        if let answer { limit.answers(answer) }
        var slow = limit
        let isAdmitted = limit.admits(ByteBuffer(bytes: bytes))
        let isSlowlyAdmitted = bytes.allSatisfy { slow.admits(ByteBuffer(bytes: [$0])) }
        return isAdmitted == isSlowlyAdmitted ? isAdmitted : nil
    }

    @Test func itsLengthCountsAsAnnounced() {
        #expect(Self.admits(Self.hello(500)) == true)
        #expect(Self.admits(Self.record(22, Self.start(of: ClientHelloLimit.longest))) == true)
        #expect(Self.admits(Self.record(22, Self.start(of: ClientHelloLimit.longest + 1))) == false)
        #expect(Self.admits(Self.record(22, Self.start(of: 0xFF_FFFF))) == false)
    }

    @Test func recordsMayCutItAnywhere() {
        let short = Self.start(of: 3) + [1, 2, 3]
        #expect(Self.admits(short.flatMap { Self.record(22, [$0]) }) == true)
        let long = Self.start(of: ClientHelloLimit.longest + 1)
        #expect(Self.admits(long.flatMap { Self.record(22, []) + Self.record(22, [$0]) }) == false)
        // Warnings and compatibility with middleboxes come between.
        let between = Self.record(21, [1, 0]) + Self.record(20, [1])
        #expect(Self.admits(between + Self.record(22, long)) == false)
    }

    /// What a client sends before the server has answered is not read as the next message.
    @Test func itIsTheServersTurn() {
        #expect(Self.admits(Self.record(22, [0]), after: Self.hello(5)) == false)
        #expect(Self.admits(Self.record(20, [1]) + Self.record(23, [9, 9]), after: Self.hello(5)) == true)
        #expect(Self.admits(Self.record(22, Self.start(of: 1) + [1] + Self.start(of: 0xFF_FFFF))) == false)
    }

    @Test func aSecondOneHasTheSameLimit() {
        let long = Self.record(20, [1]) + Self.record(22, Self.start(of: ClientHelloLimit.longest + 1))
        #expect(Self.admits(long, after: Self.hello(5), answer: Self.retryRequest) == false)
        #expect(Self.admits(Self.hello(5), after: Self.hello(5), answer: Self.retryRequest) == true)
        // After a ServerHello the records are not plain text any more.
        #expect(Self.admits(long, after: Self.hello(5), answer: Self.serverHello) == true)
    }
}
