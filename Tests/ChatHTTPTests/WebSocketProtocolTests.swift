import Foundation
import TestSupport
import Testing

@testable import ChatHTTP

/// RFC 6455 byte by byte: the cases of the Autobahn suite that apply to a server of text, each sent whole and a byte at a
/// time. Its section numbers are in the names.
@Suite(.timeLimit(.minutes(3))) struct WebSocketProtocolTests {
    private typealias Client = WebSocketClient
    private typealias Opcode = WebSocketClient.Opcode

    struct Case: Sendable {
        let name: String
        let bytes: [UInt8]
        /// The server's replies: `pong:…`, `answer` for a text, and the close code.
        let expected: [String]

        init(_ name: String, _ parts: [[UInt8]], _ expected: [String]) {
            (self.name, self.bytes, self.expected) = (name, parts.flatMap(\.self), expected)
        }
    }

    private static let request = Array(#"{"type":"unsubscribe","chat":1,"ref":"κόσμε"}"#.utf8)
    private static let bye = Client.bytes(close: 1000)

    private static func text(_ payload: [UInt8], fin: Bool = true) -> [UInt8] {
        Client.bytes(Opcode.text, payload, fin: fin)
    }
    private static func more(_ payload: [UInt8], fin: Bool = true) -> [UInt8] {
        Client.bytes(Opcode.continuation, payload, fin: fin)
    }
    private static func ping(_ payload: [UInt8] = []) -> [UInt8] { Client.bytes(Opcode.ping, payload) }
    private static func padded(_ size: Int) -> [UInt8] {
        request + [UInt8](repeating: 0x20, count: size - request.count)
    }
    /// Each byte a frame of its own.
    private static func fragments(_ payload: [UInt8], between: [UInt8] = []) -> [[UInt8]] {
        payload.enumerated().map { index, byte in
            (index == 0 ? text([byte], fin: payload.count == 1) : more([byte], fin: index == payload.count - 1))
                + between
        }
    }

    static let cases: [Case] =
        framing + pings + fragmentation + encoding + closing + reserved

    private static let framing: [Case] = [
        Case("1.1.1 empty", [text([]), bye], ["answer", "1000"]),
        Case("1.1.2 125 bytes", [text(padded(125)), bye], ["answer", "1000"]),
        Case("1.1.3 126 bytes", [text(padded(126)), bye], ["answer", "1000"]),
        Case("1.1.5 128 bytes", [text(padded(128)), bye], ["answer", "1000"]),
        Case("1.1.6 65,535 bytes", [text(padded(65_535)), bye], ["answer", "1000"]),
        Case("1.1.7 65,536 bytes", [text(padded(65_536)), bye], ["answer", "1000"]),
        Case("1.2 binary", [Client.bytes(Opcode.binary, [1, 2])], ["1003"]),
        Case("unmasked", [Client.bytes(Opcode.text, request, isMasked: false)], ["1002"]),
        Case("unmasked ping", [Client.bytes(Opcode.ping, isMasked: false)], ["1002"]),
        Case("a length past all bounds", [[0x81, 0xFF, 0x7F] + [UInt8](repeating: 0xFF, count: 7)], ["1009"]),
        Case("a length of 64 bits", [[0x81, 0xFF, 0x80] + [UInt8](repeating: 0, count: 7)], ["1002"]),
        Case("a length in more bytes than it needs", [[0x81, 0xFE, 0, 125]], ["1002"]),
        Case("a short length in eight bytes", [[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1]], ["1002"]),
        Case("a length for two bytes in eight", [[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]], ["1002"]),
        Case("a length of nothing in two bytes", [[0x81, 0xFE, 0, 0, 1, 2, 3, 4]], ["1002"]),
        Case("a long pong's length", [[0x8A, 0xFE, 0, 0]], ["1002"]),
        Case("too long for here", [[0x81, 0xFF, 0, 0, 0, 0, 0, 4, 0, 1, 1, 2, 3, 4]], ["1009"]),
    ]

    private static let pings: [Case] = [
        Case("2.1 empty ping", [ping(), bye], ["pong:", "1000"]),
        Case("2.2 small ping", [ping(Array("Hello".utf8)), bye], ["pong:Hello", "1000"]),
        Case(
            "2.4 125 bytes", [ping([UInt8](repeating: 0x61, count: 125)), bye],
            ["pong:" + String(repeating: "a", count: 125), "1000"]),
        Case("2.5 126 bytes", [ping([UInt8](repeating: 0x61, count: 126))], ["1002"]),
        Case("2.7 unasked pong", [Client.bytes(Opcode.pong, [1]), ping(), bye], ["pong:", "1000"]),
        Case("2.10 ten pings", (0..<10).map { ping([0x30 + $0]) } + [bye], (0..<10).map { "pong:\($0)" } + ["1000"]),
    ]

    private static let fragmentation: [Case] = [
        Case("5.1 ping in fragments", [Client.bytes(Opcode.ping, [1], fin: false), more([2])], ["1002"]),
        Case("5.2 pong in fragments", [Client.bytes(Opcode.pong, [1], fin: false), more([2])], ["1002"]),
        Case("close in fragments", [Client.bytes(Opcode.close, [3, 232], fin: false), more([])], ["1002"]),
        Case(
            "5.3 two fragments", [text(Array(request[..<9]), fin: false), more(Array(request[9...])), bye],
            ["answer", "1000"]),
        Case(
            "5.6 a ping between them",
            [text(Array(request[..<9]), fin: false), ping([0x78]), more(Array(request[9...])), bye],
            ["pong:x", "answer", "1000"]),
        Case("5.9 nothing to continue", [more(request), text(request)], ["1002"]),
        Case("5.10 nothing to continue, and no end", [more(request, fin: false), text(request)], ["1002"]),
        Case("5.18 a message within a message", [text([0x7B], fin: false), text(request)], ["1002"]),
        Case(
            "5.19 bytes as fragments with pings", fragments(request, between: ping()) + [bye],
            request.map { _ in "pong:" }.dropLast() + ["answer", "pong:", "1000"]),
        Case(
            "6.2 empty fragments",
            [text([], fin: false), more([], fin: false), more(request, fin: false), more([]), bye], ["answer", "1000"]),
        Case(
            "a message of fragments that is too big",
            [[UInt8]](repeating: more(padded(100_000), fin: false), count: 2).reduce(into: [
                text(padded(100_000), fin: false)
            ]) { $0.append($1) }, ["1009"]),
    ]

    private static let encoding: [Case] = [
        Case("6.2.3 characters in pieces", fragments(request) + [bye], ["answer", "1000"]),
        Case("6.3.1 invalid", [text([0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xED, 0xA0, 0x80])], ["1007"]),
        // The wrong byte is in the second fragment; a third never comes.
        Case(
            "6.4.1 invalid before the end", [text([0xCE, 0xBA], fin: false), more([0xF4, 0x90], fin: false)], ["1007"]),
        Case("6.6 cut off", [text([0xCE])], ["1007"]),
        Case("6.7 noncharacters are characters", [text(Array("{\"\u{FFFF}\":1}".utf8)), bye], ["answer", "1000"]),
        Case("6.10 overlong", [text([0xC0, 0xAF])], ["1007"]),
        Case("6.14 a lone continuation", [text([0x80])], ["1007"]),
    ]

    private static let closing: [Case] =
        [
            Case("7.1.1 a message, then goodbye", [text(request), bye], ["answer", "1000"]),
            Case("7.1.2 goodbye twice", [bye, bye], ["1000"]),
            Case("7.1.3 a ping after goodbye", [bye, ping()], ["1000"]),
            Case("7.1.4 a message after goodbye", [bye, text(request)], ["1000"]),
            Case("7.3.1 no code", [Client.bytes(Opcode.close)], ["no code"]),
            Case("7.3.2 half a code", [Client.bytes(Opcode.close, [3])], ["1002"]),
            Case("7.3.4 a reason", [Client.bytes(close: 1000, "Hello World!")], ["1000"]),
            Case("7.3.5 the longest reason", [Client.bytes(close: 1000, String(repeating: "*", count: 123))], ["1000"]),
            Case("7.3.6 one byte more", [Client.bytes(close: 1000, String(repeating: "*", count: 124))], ["1002"]),
            Case(
                "7.5.1 a reason that is no text", [Client.bytes(Opcode.close, [3, 232, 0xCE, 0xBA, 0xED, 0xA0])],
                ["1007"]),
        ]
        + [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].map {
            Case("7.7 code \($0)", [Client.bytes(close: $0)], ["\($0)"])
        }
        + [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535].map {
            Case("7.9 code \($0)", [Client.bytes(close: $0)], ["1002"])
        }

    private static let reserved: [Case] =
        ([0xC1, 0xA1, 0x91, 0xF1, 0xC9, 0x99] as [UInt8]).map {
            Case("3 reserved bits \($0)", [Client.bytes(0, request.prefix(20).map(\.self), first: $0)], ["1002"])
        }
        + [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map {
            Case("4 opcode \($0)", [Client.bytes($0), ping()], ["1002"])
        }

    private func outcome(_ client: WebSocketClient) async throws -> [String] {
        var outcome: [String] = []
        while let frame = try await client.next() {
            switch frame.opcode {
            case Opcode.pong: outcome.append("pong:" + frame.text)
            case Opcode.text: outcome.append("answer")
            case Opcode.close:
                outcome.append(frame.code.map { "\($0)" } ?? "no code")
                // Nothing may follow on it; ours ends what the server waits for.
                await client.send(Self.bye)
            default: outcome.append("opcode \(frame.opcode)")
            }
        }
        return outcome
    }

    @Test(arguments: [false, true])
    func cases(inChops: Bool) async throws {
        try await TestServer.run { server in
            let path = try await server.client.makeApplication() + "/socket"
            for test in Self.cases where !inChops || test.bytes.count < 2000 {
                let client = try await WebSocketClient(server.client.port, path)
                if inChops {
                    for byte in test.bytes { await client.send([byte]) }
                } else {
                    await client.send(test.bytes)
                }
                #expect(try await outcome(client) == test.expected, "\(test.name)")
            }
            try await eventually("no connection is open") { server.metric("luciq_http_connections") == 0 }
        }
    }
}
