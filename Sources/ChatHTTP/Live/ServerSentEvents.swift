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

    /// The events in pieces of about `pieceSize`.
    static func pieces(_ events: LiveEvents) -> [ByteBuffer] {
        events.pieces { event, cursor, piece in
            switch event {
            case .message(let message): write("message", MessageJSON(message), cursor, to: &piece)
            case .change(let change, let base):
                write(change.type, ChangeEventJSON(change, since: base), cursor, to: &piece)
            // It has no id: the last one counts on.
            case .signal(let signal): write(signal.type, SignalJSON(signal), nil, to: &piece)
            }
        }
    }

    private static func write(
        _ name: String, _ data: some JSONWritable, _ cursor: Cursor?, to buffer: inout ByteBuffer
    ) {
        // `JSONWriter` writes no line breaks: one line of data is enough.
        buffer.writeStaticString("event: ")
        buffer.writeString(name)
        buffer.writeStaticString("\ndata: ")
        buffer.writeJSON(data)
        if let cursor {
            buffer.writeStaticString("\nid: ")
            buffer.writeString(cursor.description)
        }
        buffer.writeStaticString("\n\n")
    }

    /// The last event. A browser comes back with the URL that it began with, so with an expired token or ticket it must
    /// not.
    static func close(_ code: CloseCode) -> ByteBuffer {
        close(code.name, reconnect: code.mayReconnect && code != .tokenExpired)
    }

    /// - Parameter head: the cursor to go on from, after the chat was loaded anew.
    static func close(_ code: String, reconnect: Bool, at head: Cursor? = nil) -> ByteBuffer {
        let cursor = head.map { ",\"cursor\":\"\($0)\"" } ?? ""
        return ByteBuffer(
            string: "event: close\ndata: {\"code\":\"\(code)\",\"reconnect\":\(reconnect)\(cursor)}\n\n")
    }
}

extension LiveEvents {
    /// The events, encoded, in pieces of about the size of a write.
    func pieces(_ write: (Event, Cursor, inout ByteBuffer) -> Void) -> [ByteBuffer] {
        var pieces: [ByteBuffer] = []
        var piece = ByteBuffer()
        for index in 0..<count {
            if piece.readableBytes >= ServerSentEvents.pieceSize {
                pieces.append(piece)
                piece = ByteBuffer()
            }
            if piece.capacity == 0 { piece.reserveCapacity(pieceSize(from: index)) }
            let (event, cursor) = event(at: index)
            write(event, cursor, &piece)
        }
        return piece.readableBytes > 0 ? pieces + [piece] : pieces
    }

    /// The size of a piece that begins with this event, if nothing is escaped.
    private func pieceSize(from index: Int) -> Int {
        var (index, size) = (index, 0)
        while index < count, size < ServerSentEvents.pieceSize {
            size += textBytes(at: index) + 160
            index += 1
        }
        return size
    }
}
