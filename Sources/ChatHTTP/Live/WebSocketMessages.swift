import NIOCore
import NIOWebSocket

/// Assembles messages from a client's frames (RFC 6455, 5). `FrameDecoder` checks lengths, and that control frames are
/// not fragmented; all other checks are here.
struct WebSocketMessages {
    enum Event: Equatable {
        /// A whole message, valid UTF-8.
        case text(ByteBuffer)
        case ping(ByteBuffer)
        case pong
        /// Nil if the client gave no code.
        case close(UInt16?)
    }

    /// Limit of a message, and so of a frame, in bytes: the same as for a posted body.
    static let maxSize = RequestLimits.body

    /// The fragments of a message so far; nil between messages.
    private var message: ByteBuffer?
    private var checker = UTF8Checker()

    /// Whether a message is incomplete.
    var isUnfinished: Bool { message != nil }

    /// Bytes of the incomplete message.
    var unfinishedBytes: Int { message?.readableBytes ?? 0 }

    /// - Returns: nil for a part of a message.
    /// - Throws: the closure of the connection.
    mutating func receive(_ frame: WebSocketFrame) throws(WebSocketClosure) -> Event? {
        guard frame.reservedBits.isEmpty else { throw .protocolError("No extension was negotiated") }
        guard frame.maskKey != nil else { throw .protocolError("A client must mask its frames") }
        switch frame.opcode {
        case .text:
            guard message == nil else { throw .protocolError("The previous message is not complete") }
            message = ByteBuffer()
            return try append(frame)
        case .continuation:
            guard message != nil else { throw .protocolError("There is no message to continue") }
            return try append(frame)
        case .binary: throw .binary
        case .ping: return .ping(frame.unmaskedData)
        case .pong: return .pong
        case .connectionClose: return .close(try code(frame.unmaskedData))
        default: throw .protocolError("Unknown opcode")
        }
    }

    private mutating func append(_ frame: WebSocketFrame) throws(WebSocketClosure) -> Event? {
        var data = frame.unmaskedData
        guard message!.readableBytes + data.readableBytes <= Self.maxSize else { throw .tooBig }
        let isUTF8 = data.withUnsafeReadableBytes { checker.check($0) }
        guard isUTF8, checker.isComplete || !frame.fin else { throw .notUTF8 }
        if message!.readableBytes == 0 { message = data } else { message!.writeBuffer(&data) }
        guard frame.fin else { return nil }
        defer { message = nil }
        return .text(message!)
    }

    private func code(_ payload: ByteBuffer) throws(WebSocketClosure) -> UInt16? {
        var payload = payload
        if payload.readableBytes == 0 { return nil }
        guard let code = payload.readInteger(as: UInt16.self), Self.isValid(code) else {
            throw .protocolError("Invalid close code")
        }
        var checker = UTF8Checker()
        let isUTF8 = payload.withUnsafeReadableBytes { checker.check($0) }
        guard isUTF8, checker.isComplete else { throw .notUTF8 }
        return code
    }

    /// Whether a client may send the code (RFC 6455, 7.4, and IANA's registry).
    private static func isValid(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
