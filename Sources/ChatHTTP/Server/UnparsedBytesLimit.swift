import NIOCore
import NIOHTTP1

/// Counts raw bytes that the decoder has not turned into request parts yet, and refuses too many.
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
