import ChatCore
import NIOCore

/// What a stream is made of, as the HTML standard writes it (WHATWG, 9.2.6).
///
/// Clients differ where the standard leaves something out, or where they do not follow it, so what is written here is what
/// all of them read alike. Each block that ends with a blank line has data: some yield an empty event otherwise
/// (httpx-sse 0.4). `id` is the last line of its block: some deliver the half of an event that a connection ended in
/// (sseclient-py 1.9, requests-sse 0.5), and when it carried its id, they resume behind it.
enum ServerSentEvents {
    /// How long a browser waits before it reconnects, in milliseconds.
    static let retry = 1000
    /// About as much as is written at a time: a client that is slow, and reads, must be seen to.
    static let pieceSize = 64 << 10

    /// Has the cursor in it, so that a client that loses its connection before the first message misses none.
    static func opening(cursor: Cursor) -> ByteBuffer {
        ByteBuffer(string: "retry: \(retry)\nevent: cursor\ndata: {\"cursor\":\"\(cursor)\"}\nid: \(cursor)\n\n")
    }

    /// Is no block of its own: it stands before the first line of the next one.
    static let comment = ByteBuffer(string: ":\n")

    /// As few pieces as their size allows.
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

    /// What a piece of these messages takes, where nothing in them is escaped.
    static func size(of messages: ArraySlice<Message>) -> Int {
        var size = 0
        for message in messages where size < pieceSize { size += message.body.utf8.count + 160 }
        return size
    }

    private static func write(_ message: Message, to buffer: inout ByteBuffer) {
        // JSON has no line breaks, so that it takes one line of data.
        var json = JSONWriter(capacity: message.body.utf8.count + 128)
        MessageJSON(message).write(to: &json)
        buffer.writeStaticString("event: message\ndata: ")
        buffer.writeImmutableBuffer(json.buffer)
        buffer.writeStaticString("\nid: ")
        buffer.writeString(Cursor(message).description)
        buffer.writeStaticString("\n\n")
    }

    /// The last event.
    static func close(_ code: CloseCode) -> ByteBuffer {
        ByteBuffer(string: "event: close\ndata: {\"code\":\"\(code.name)\",\"reconnect\":\(code.mayReconnect)}\n\n")
    }
}
