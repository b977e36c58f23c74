import NIOCore

/// Stands between the socket's side and `NIOHTTP2Handler`: watches the client's frames, and gathers ours, which
/// `NIOHTTP2Handler` writes in pieces of a few bytes, so that TLS makes few records and the socket few writes of them.
final class HTTP2Gate: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The client causes too much beside its requests.
    struct TooManyFrames: Error {}

    /// In bytes: a record of TLS.
    private static let full = 16 << 10

    private(set) var watch = HTTP2Watch(now: .zero)
    private var sent = FrameWalker()
    /// Whether a GOAWAY frame with an error was written: `NIOHTTP2Handler` fires errors of streams and of the connection
    /// alike, but writes it only for the latter.
    private(set) var hasFailed = false
    private var gathered = ByteBuffer()
    private var promise: EventLoopPromise<Void>?
    private var willFlush = false
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        watch = HTTP2Watch(now: .now(context))
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        promise?.fail(ChannelError.ioOnClosedChannel)
        promise = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        gathered = ByteBuffer()
        promise?.fail(ChannelError.ioOnClosedChannel)
        promise = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard watch.receive(unwrapInboundIn(data), now: .now(context)) else {
            return context.fireErrorCaught(TooManyFrames())
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = unwrapOutboundIn(data)
        sent.walk(bytes) { frame in
            watch.sent(frame)
            // After the last stream's number (RFC 9113, 6.8).
            if frame.kind == FrameWalker.Kind.goAway, frame.start & 0xFFFF_FFFF != 0 { hasFailed = true }
        }
        gathered.writeImmutableBuffer(bytes)
        if let promise {
            if let first = self.promise { first.futureResult.cascade(to: promise) } else { self.promise = promise }
        }
        if gathered.readableBytes >= Self.full { pass(context) }
    }

    /// Flushes once for all that is written before other connections have their turn.
    func flush(context: ChannelHandlerContext) {
        guard !willFlush else { return }
        willFlush = true
        let gate = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute { gate.value.flushNow() }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .input { flushNow() }
        context.close(mode: mode, promise: promise)
    }

    /// Flushes without waiting for more, before the connection's end.
    func flushNow() {
        guard let context else { return }
        willFlush = false
        pass(context)
        context.flush()
    }

    private func pass(_ context: ChannelHandlerContext) {
        guard gathered.readableBytes > 0 else { return }
        let (bytes, promise) = (gathered, promise)
        gathered = ByteBuffer()
        self.promise = nil
        context.write(wrapOutboundOut(bytes), promise: promise)
    }
}

@available(*, unavailable)
extension HTTP2Gate: Sendable {}
