import NIOCore
import NIOHTTP2

/// Hands a connection over to HTTP/2, when TLS has agreed on it.
extension HTTPConnection {
    /// In bytes: a connection carries the answers of many streams.
    private static let writeMarks = ChannelOptions.Types.WriteBufferWaterMark(low: 32 << 10, high: 64 << 10)

    /// This handler stays before those of HTTP/2: it has the connection's slot, closes a client that does not read, and
    /// lets it read why it is closed.
    func becomeHTTP2(_ context: ChannelHandlerContext) {
        guard state.isIdle, let slot else { return }
        state.depart()
        schedule(context)
        // Channels other than sockets lack this option.
        try? context.channel.syncOptions?.setOption(.writeBufferWaterMark, value: Self.writeMarks)
        let gate = HTTP2Gate()
        let connection = HTTP2Connection(self, gate, slot)
        let streams = NIOLoopBound(connection, eventLoop: context.eventLoop)
        let handler = NIOHTTP2Handler(
            mode: .server, eventLoop: context.eventLoop, connectionConfiguration: HTTP2Limits.connection,
            streamConfiguration: HTTP2Limits.stream
        ) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(HTTP2Stream(streams.value))
            }
        }
        do {
            try context.pipeline.syncOperations.addHandlers([gate, handler, connection], position: .after(self))
        } catch {
            context.close(promise: nil)  // It is closing already.
        }
    }
}

/// What a client of HTTP/2 may do. `HTTP2Watch` has more.
enum HTTP2Limits {
    /// Open streams of a connection.
    static let streams = 100
    /// What a client may send on a stream, or on a connection, before the server takes it, in bytes: the least that a
    /// client may count on without SETTINGS.
    private static let window = 65_535

    static var connection: NIOHTTP2Handler.ConnectionConfiguration {
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: streams),
            HTTP2Setting(parameter: .maxHeaderListSize, value: RequestLimits.unparsed),
        ]
        configuration.targetWindowSize = window
        configuration.maximumBufferedControlFrames = 1000
        return configuration
    }

    static var stream: NIOHTTP2Handler.StreamConfiguration {
        var configuration = NIOHTTP2Handler.StreamConfiguration()
        configuration.targetWindowSize = window
        configuration.outboundBufferSizeHighWatermark = ByteBudget.small
        configuration.outboundBufferSizeLowWatermark = ByteBudget.small / 2
        return configuration
    }
}
