import ChatCore
import DequeModule
import Metrics
import NIOCore

/// A subscription as the body of an answer, on a connection that it has to itself. It ends with the subscription; the next
/// messages are taken when the client has read the last ones, but for what the socket's own buffers hold. The
/// `ConnectionGuard` behind it closes a client that does not read.
final class EventStreamHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    private let limits: LiveLimits
    private let metrics: LiveMetrics
    /// Whether the body is in chunks, as HTTP/1.1 has it; in HTTP/1.0 it ends where the connection does.
    private let isChunked: Bool
    /// Nil when the stream has ended.
    private var subscription: ChatSubscription?
    private let cursor: Cursor
    private var context: ChannelHandlerContext?
    private var wake: (@Sendable () -> Void)!
    /// What of the last messages is still to be written. No slice: that would keep those that were written, too.
    private var pieces = Deque<ByteBuffer>()
    /// Whose pieces they are, where others may share them.
    private var page: MessagePage?
    /// Whether there is nothing to take before the next `wake`.
    private var isWaiting = false
    private var reading: Task<Void, Never>?
    private var isDelivering = false
    private var silentSince = NIODeadline.now()

    init(_ subscription: ChatSubscription, isChunked: Bool, limits: LiveLimits, metrics: LiveMetrics) {
        self.subscription = subscription
        self.cursor = subscription.cursor
        self.isChunked = isChunked
        self.limits = limits
        self.metrics = metrics
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        wake = { [eventLoop = context.eventLoop] in eventLoop.execute { bound.value.hasNews() } }
        metrics.streams.increment()
        write(ServerSentEvents.opening(cursor: cursor))
        deliver()
        scheduleComment()
        context.read()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
    }

    /// What a client sends after its request is thrown away; it is read to see it leave.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func channelReadComplete(context: ChannelHandlerContext) { context.read() }

    /// Who read the requests has no say any more.
    func read(context: ChannelHandlerContext) {}

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { deliver() }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: finish(.cancelled)
        // The subscription ends as well; a client that does not hear of it is not waited for.
        case is ChannelShouldQuiesceEvent: closeSoon()
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func hasNews() {
        isWaiting = false
        deliver()
    }

    /// Writes what there is, for as long as the client takes it.
    private func deliver() {
        guard let context, !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        while fill(context), context.channel.isWritable {}
    }

    /// - Returns: whether there is more, which has to wait.
    private func fill(_ context: ChannelHandlerContext) -> Bool {
        defer { context.flush() }
        while reading == nil, let subscription {
            guard context.channel.isWritable else { return true }
            if let piece = pieces.popFirst() {
                context.write(wrapOutboundOut(piece), promise: nil)
                silentSince = context.eventLoop.now
                continue
            }
            page = nil
            if isWaiting { return false }
            switch subscription.take(orWake: wake) {
            case .page(let page, let isLast):
                pieces = Deque(isChunked ? page.form(EventChunks.init).pieces : page.form(EventTexts.init).pieces)
                self.page = page
                isWaiting = isLast
            case .nothing: isWaiting = true
            case .behind: read(subscription, context.eventLoop)
            case .ended(let end): finish(end)
            }
        }
        return false
    }

    /// Gets the next messages from the store.
    private func read(_ subscription: ChatSubscription, _ eventLoop: any EventLoop) {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        reading = Task {
            let result: Result<[Message], StreamEnd>
            do throws(StreamEnd) { result = .success(try await subscription.next()) } catch { result = .failure(error) }
            eventLoop.execute { [result] in bound.value.hasRead(result) }
        }
    }

    private func hasRead(_ result: Result<[Message], StreamEnd>) {
        reading = nil
        guard subscription != nil else { return }
        switch result {
        case .success(let messages):
            pieces = Deque(isChunked ? EventChunks(messages).pieces : EventTexts(messages).pieces)
        case .failure(let end): return finish(end)
        }
        deliver()
    }

    /// Says why, where it was not the client who left.
    private func finish(_ reason: StreamEnd) {
        guard let context, subscription != nil else { return }
        end()
        if let code = reason.closeCode { write(ServerSentEvents.close(code)) }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolatedUnsafeUnchecked().whenComplete { _ in
            self.context?.close(mode: .output, promise: nil)
            self.closeSoon()
        }
        context.writeAndFlush(
            wrapOutboundOut(isChunked ? ByteBuffer(staticString: "0\r\n\r\n") : ByteBuffer()), promise: written)
    }

    private func end() {
        guard let subscription else { return }
        self.subscription = nil
        // It holds us.
        wake = nil
        pieces = []
        page = nil
        subscription.cancel()
        // It may stand in line for a read that nobody wants any more.
        reading?.cancel()
        metrics.streams.decrement()
    }

    private func closeSoon() {
        schedule(.now() + TimeAmount(ConnectionState.linger)) { handler in handler.context?.close(promise: nil) }
    }

    private func scheduleComment() {
        let comment = TimeAmount(limits.comment)
        schedule(silentSince + comment) { handler in
            guard handler.subscription != nil else { return }
            if handler.silentSince + comment <= .now() {
                if handler.context?.channel.isWritable == true { handler.write(ServerSentEvents.comment) }
                handler.silentSince = .now()
            }
            handler.scheduleComment()
        }
    }

    /// Nothing is done when the connection is gone by then.
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
