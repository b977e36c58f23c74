import NIOCore
import NIOHTTP1

/// Counts raw bytes that no request part has come of yet.
final class UnparsedBytesLimit: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let connection: ConnectionGuard

    init(guard connection: ConnectionGuard) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if connection.isDone { return }
        connection.unparsedBytes += unwrapInboundIn(data).readableBytes
        context.fireChannelRead(data)
        if connection.unparsedBytes > RequestLimits.unparsed {
            connection.breakOffEarly(context, .headersTooLarge, HTTPParserError.headerOverflow)
        }
    }
}
