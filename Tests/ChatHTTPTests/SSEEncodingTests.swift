import ChatCore
import NIOCore
import Testing

@testable import ChatHTTP

/// What is written, byte for byte.
struct SSEEncodingTests {
    private func message(_ number: Int64, _ body: String) -> Message {
        Message(number: Message.Number(number), body: body, createdAt: Timestamp(microseconds: 1_795_367_864_194_999))
    }

    private func text(_ messages: [Message]) -> String {
        ServerSentEvents.pieces(LiveEvents(.messages(messages), after: Cursor(0))).map { String(buffer: $0) }.joined()
    }

    @Test func aMessage() {
        let expected = """
            event: message
            data: {"number":42,"body":"hi","created_at":"2026-11-22T17:17:44.194Z","sender":null}
            id: 42


            """
        #expect(text([message(42, "hi")]) == expected)
    }

    /// No text can end the data line: only CR, LF or both end a line.
    @Test(arguments: [
        "a\nb", "a\r\nb", "a\rb", "\n\nid: 7\n\n", "data: x", "\u{85}\u{2028}\u{2029}", "\u{0B}\u{0C}", "\"\\",
    ])
    func aBodyCannotBreakOut(_ body: String) {
        let written = text([message(1, body)])
        #expect(!written.contains("\r"))
        #expect(written.split(separator: "\n", omittingEmptySubsequences: false).count == 5)
        #expect(written.hasSuffix("\n\n"))
    }

    @Test func otherEvents() {
        #expect(
            String(buffer: ServerSentEvents.opening(cursor: Cursor(41)))
                == "retry: 1000\nevent: cursor\ndata: {\"cursor\":\"41\"}\nid: 41\n\n")
        #expect(String(buffer: ServerSentEvents.comment) == ":\n")
        let ends: [(CloseCode, String)] = [
            (.slowConsumer, #"{"code":"slow_consumer","reconnect":true}"#),
            (.goingAway, #"{"code":"going_away","reconnect":true}"#),
            (.notFound, #"{"code":"not_found","reconnect":false}"#),
        ]
        for (end, data) in ends {
            #expect(String(buffer: ServerSentEvents.close(end)) == "event: close\ndata: \(data)\n\n")
        }
    }

    /// Pieces are of whole events, and of about the size that is written at a time.
    @Test(arguments: [0, 1, 10, 1000, 65_535])
    func pieces(_ size: Int) {
        let body = String(repeating: "x", count: max(size, 1))
        for count in [0, 1, 2, 255, 256] {
            let messages = (0..<count).map { message(Int64($0 + 1), body) }
            let pieces = ServerSentEvents.pieces(LiveEvents(.messages(messages), after: Cursor(0)))
            let total = pieces.reduce(0) { $0 + $1.readableBytes }
            #expect(total == messages.reduce(0) { $0 + text([$1]).utf8.count })
            for piece in pieces {
                #expect(String(buffer: piece).hasSuffix("\n\n"))
                #expect(piece.readableBytes < ServerSentEvents.pieceSize + size + 200)
            }
            for piece in pieces.dropLast() { #expect(piece.readableBytes >= ServerSentEvents.pieceSize) }
        }
    }
}
