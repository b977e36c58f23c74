import ChatCore
import Metrics
import NIOCore

/// Writes a subscription as the body of an answer, on a connection of its own. The body ends with the subscription. The
/// handler takes the next messages when the socket's buffers have room (`ReaderPump`). The `HTTPConnection` behind it
/// closes a client that does not read.
final class EventStreamHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    private enum Stream {
        case open(ChatSubscription)
        /// A read from the store is running.
        case reading(ChatSubscription, Task<Void, Never>)
        case ended
    }

    private let limits: LiveLimits
    private let metrics: LiveMetrics
    /// Whether the body is chunked (HTTP/1.1). In HTTP/1.0 it ends with the connection.
    private let isChunked: Bool
    private let cursor: Cursor
    private var stream: Stream
    private var pump = ReaderPump()
    private var context: ChannelHandlerContext?
    private var isDelivering = false
    private var silentSince = NIODeadline.now()

    init(_ subscription: ChatSubscription, isChunked: Bool, limits: LiveLimits, metrics: LiveMetrics) {
        self.stream = .open(subscription)
        self.cursor = subscription.cursor
        self.isChunked = isChunked
        self.limits = limits
        self.metrics = metrics
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        metrics.streams.increment()
        write(ServerSentEvents.opening(cursor: cursor))
        deliver()
        scheduleComment()
        context.read()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        tell(.end(.cancelled))
    }

    /// Drops input after the request; it is read only to notice that the client leaves.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func channelReadComplete(context: ChannelHandlerContext) { context.read() }

    /// Ignored: HTTP no longer drives reads; this handler does.
    func read(context: ChannelHandlerContext) {}

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { deliver() }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: tell(.end(.cancelled))
        // The subscription ends as well. A client that does not read its last event is closed.
        case is ChannelShouldQuiesceEvent: closeSoon()
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func tell(_ event: ReaderPump.Event) { if handle(event) { deliver() } }

    /// Writes while there is something to write and the socket is writable.
    private func deliver() {
        guard let context, !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        var hasMore = true
        while hasMore, context.channel.isWritable {
            while hasMore, context.channel.isWritable { hasMore = handle(.demand) }
            context.flush()
        }
    }

    /// - Returns: whether there may be something to write.
    private func handle(_ event: ReaderPump.Event) -> Bool {
        switch pump.handle(event) {
        case .write(let piece):
            context?.write(wrapOutboundOut(piece), promise: nil)
            silentSince = .now()
            return true
        case .take: return handle(take())
        case .queue: return handle(.turn)
        case .read: read()
        case .deliver: return true
        case .finish(let reason): finish(reason)
        case .wait: break
        }
        return false
    }

    private func take() -> ReaderPump.Event {
        guard let context, case .open(let subscription) = stream else { return .end(.cancelled) }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        return subscription.take { [isChunked] page in
            isChunked ? page.form(EventChunks.init).pieces : page.form(EventTexts.init).pieces
        } orWake: { [eventLoop = context.eventLoop] in
            eventLoop.execute { bound.value.tell(.wake) }
        }
    }

    /// Reads the next messages from the store.
    private func read() {
        guard let context, case .open(let subscription) = stream else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let task = Task { [eventLoop = context.eventLoop, isChunked] in
            let event = await subscription.read { events in
                isChunked ? EventChunks(events).pieces : EventTexts(events).pieces
            }
            eventLoop.execute { bound.value.hasRead(event) }
        }
        stream = .reading(subscription, task)
    }

    private func hasRead(_ event: ReaderPump.Event) {
        if case .reading(let subscription, _) = stream { stream = .open(subscription) }
        tell(event)
    }

    /// Ends the stream, with an event that tells the reason unless the client has left.
    private func finish(_ reason: StreamEnd) {
        switch stream {
        case .open(let subscription): subscription.cancel()
        case .reading(let subscription, let task):
            subscription.cancel()
            // It may be queued for a read that is no longer needed.
            task.cancel()
        case .ended: return
        }
        stream = .ended
        metrics.streams.decrement()
        guard let context else { return }
        if let code = reason.closeCode { write(ServerSentEvents.close(code)) }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolatedUnsafeUnchecked().whenComplete { _ in
            self.context?.close(mode: .output, promise: nil)
            self.closeSoon()
        }
        context.writeAndFlush(
            wrapOutboundOut(isChunked ? ByteBuffer(staticString: "0\r\n\r\n") : ByteBuffer()), promise: written)
    }

    private func closeSoon() {
        schedule(.now() + TimeAmount(ConnectionState.linger)) { handler in handler.context?.close(promise: nil) }
    }

    private func scheduleComment() {
        let comment = TimeAmount(limits.comment)
        schedule(silentSince + comment) { handler in
            if case .ended = handler.stream { return }
            if handler.silentSince + comment <= .now() {
                if handler.context?.channel.isWritable == true { handler.write(ServerSentEvents.comment) }
                handler.silentSince = .now()
            }
            handler.scheduleComment()
        }
    }

    /// Runs `body` unless the connection is closed by then.
    private func schedule(_ moment: NIODeadline, _ body: @escaping (EventStreamHandler) -> Void) {
        context?.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(deadline: moment) { [weak self] in
            if let self, self.context != nil { body(self) }
        }
    }

    private func write(_ text: ByteBuffer) {
        context?.writeAndFlush(wrapOutboundOut(isChunked ? EventChunks.chunk(text) : text), promise: nil)
    }
}

@available(*, unavailable)
extension EventStreamHandler: Sendable {}
