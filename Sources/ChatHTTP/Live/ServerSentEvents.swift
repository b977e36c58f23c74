import ChatCore
import NIOCore

/// Encodes events of a stream as the HTML standard defines them (WHATWG, 9.2.6).
///
/// Clients differ where the standard is silent, or where they deviate from it. Only what all of them read alike is
/// written here. Each block that ends with a blank line has data: some clients yield an empty event otherwise
/// (httpx-sse 0.4). `id` is the last line of its block: some clients deliver an event that the end of the connection
/// cut in half (sseclient-py 1.9, requests-sse 0.5), and with its id they would resume after it.
enum ServerSentEvents {
    /// How long a browser waits before it reconnects, in milliseconds.
    static let retry = 1000
    /// In bytes, about the size of one write: small enough that a slow client's reads show as progress.
    static let pieceSize = 64 << 10

    /// The first event. It has the cursor, so that a client that disconnects before the first message misses none.
    static func opening(cursor: Cursor) -> ByteBuffer {
        ByteBuffer(string: "retry: \(retry)\nevent: cursor\ndata: {\"cursor\":\"\(cursor)\"}\nid: \(cursor)\n\n")
    }

    /// Not a block of its own: it precedes the first line of the next one.
    static let comment = ByteBuffer(string: ":\n")

    /// The messages in pieces of about `pieceSize`.
    static func pieces(_ messages: [Message]) -> [ByteBuffer] {
        var pieces: [ByteBuffer] = []
        var piece = ByteBuffer()
        for (index, message) in messages.enumerated() {
            if piece.readableBytes >= pieceSize {
                pieces.append(piece)
                piece = ByteBuffer()
            }
            if piece.capacity == 0 { piece.reserveCapacity(size(of: messages[index...])) }
            write(message, to: &piece)
        }
        return piece.readableBytes > 0 ? pieces + [piece] : pieces
    }

    /// The size of a piece of these messages, if nothing in them is escaped.
    static func size(of messages: ArraySlice<Message>) -> Int {
        var size = 0
        for message in messages where size < pieceSize { size += message.body.utf8.count + 160 }
        return size
    }

    private static func write(_ message: Message, to buffer: inout ByteBuffer) {
        // `JSONWriter` writes no line breaks: one line of data is enough.
        buffer.writeStaticString("event: message\ndata: ")
        buffer.writeJSON(MessageJSON(message))
        buffer.writeStaticString("\nid: ")
        buffer.writeString(Cursor(message).description)
        buffer.writeStaticString("\n\n")
    }

    /// The last event. A browser comes back with the URL that it began with, so with an expired token or ticket it must
    /// not.
    static func close(_ code: CloseCode) -> ByteBuffer {
        close(code.name, reconnect: code.mayReconnect && code != .tokenExpired)
    }

    static func close(_ code: String, reconnect: Bool) -> ByteBuffer {
        ByteBuffer(string: "event: close\ndata: {\"code\":\"\(code)\",\"reconnect\":\(reconnect)}\n\n")
    }
}
