import ChatCore
import NIOCore

/// Events encoded for streams, which share them.
struct EventTexts: LiveForm {
    let pieces: [ByteBuffer]

    init(_ events: LiveEvents) { pieces = ServerSentEvents.pieces(events) }

    var bytes: Int { pieces.bytes }
}

/// The same, as chunks of a body (RFC 9112, 7.1).
struct EventChunks: LiveForm {
    let pieces: [ByteBuffer]

    init(_ events: LiveEvents) { pieces = ServerSentEvents.pieces(events).map(Self.chunk) }

    var bytes: Int { pieces.bytes }

    static func chunk(_ text: ByteBuffer) -> ByteBuffer {
        var chunk = ByteBufferAllocator().buffer(capacity: text.readableBytes + 16)
        chunk.writeString(String(text.readableBytes, radix: 16))
        chunk.writeStaticString("\r\n")
        chunk.writeImmutableBuffer(text)
        chunk.writeStaticString("\r\n")
        return chunk
    }
}

extension [ByteBuffer] {
    /// Bytes of all buffers.
    var bytes: Int { reduce(0) { $0 + $1.readableBytes } }
}
