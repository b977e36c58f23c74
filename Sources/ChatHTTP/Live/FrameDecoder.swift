import NIOCore
import NIOWebSocket

/// Splits a client's bytes into frames (RFC 6455, 5.2), and checks their lengths. NIO's own decoder accepts lengths
/// encoded in more bytes than necessary, which the RFC forbids: a proxy could see different frames.
struct FrameDecoder: ByteToMessageDecoder {
    typealias InboundOut = WebSocketFrame

    /// Counts the bytes of an incomplete frame.
    let intake: SocketIntake

    /// - Throws: the `WebSocketClosure` to close with.
    mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        let start = buffer.readerIndex
        let frame = try readFrame(&buffer)
        if frame == nil { buffer.moveReaderIndex(to: start) }
        intake.undecoded = buffer.readableBytes
        guard let frame else { return .needMoreData }
        context.fireChannelRead(wrapInboundOut(frame))
        return .continue
    }

    /// Drops an incomplete frame when the connection ends.
    mutating func decodeLast(
        context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool
    ) throws -> DecodingState {
        let state = try decode(context: context, buffer: &buffer)
        if state == .needMoreData { buffer.clear() }
        return state
    }

    /// - Returns: nil while the frame is incomplete; a wrong head throws at once.
    private func readFrame(_ buffer: inout ByteBuffer) throws(WebSocketClosure) -> WebSocketFrame? {
        guard let (first, second) = buffer.readMultipleIntegers(as: (UInt8, UInt8).self) else { return nil }
        let opcode = WebSocketOpcode(encodedWebSocketOpcode: first & 0x0F)
        guard let opcode else { throw .protocolError("Unknown opcode") }
        let isWhole = first & 0x80 != 0
        let short = Int(second & 0x7F)
        if opcode.isControlOpcode, !isWhole || short > 125 {
            throw .protocolError("A control frame must not be fragmented, nor exceed 125 bytes")
        }
        guard let length = try readLength(short, &buffer) else { return nil }
        guard length <= WebSocketMessages.maxSize else { throw .tooBig }
        var mask: WebSocketMaskingKey?
        if second & 0x80 != 0 {
            guard let bytes = buffer.readBytes(length: 4) else { return nil }
            mask = WebSocketMaskingKey(bytes)
        }
        guard let data = buffer.readSlice(length: length) else { return nil }
        return WebSocketFrame(
            fin: isWhole, rsv1: first & 0x40 != 0, rsv2: first & 0x20 != 0, rsv3: first & 0x10 != 0, opcode: opcode,
            maskKey: mask, data: data)
    }

    private func readLength(_ short: Int, _ buffer: inout ByteBuffer) throws(WebSocketClosure) -> Int? {
        let length: UInt64?
        let least: UInt64
        switch short {
        case 126: (length, least) = (buffer.readInteger(as: UInt16.self).map(UInt64.init), 126)
        case 127: (length, least) = (buffer.readInteger(as: UInt64.self), 65_536)
        default: return short
        }
        guard let length else { return nil }
        guard length >= least else { throw .protocolError("A length must be encoded in as few bytes as possible") }
        guard length >> 63 == 0 else { throw .protocolError("A length has at most 63 bits") }
        return Int(clamping: length)
    }
}
