import ChatCore
import HTTPTypes
import Metrics
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// Guards a connection's socket: closes slow clients, answers malformed HTTP, counts connections, and ends long answers
/// whose client has left. `ConnectionState` decides; the guard acts.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let metrics: RequestMetrics
    private let budget: ByteBudget
    private let hasCORS: Bool
    /// Bytes of the bodies of unanswered requests.
    private var bodyBytes = 0
    /// Bytes of the answer that is being written.
    private var answerBytes = 0
    /// Bytes of an incomplete head.
    private var headBytes = 0
    private var client = ClientAddress(nil)
    private var state: ConnectionState
    private var timer: Scheduled<Void>?
    private var problem = Problem.notHTTP
    private var unwrittenAnswers = 0
    private var delayedClose: EventLoopPromise<Void>?
    private var isLeft = false
    private var onLeaving: (@Sendable () -> Void)?
    private var nextProtocol: ((HTTPVersion) -> [any ChannelHandler])?
    private let slots: ConnectionSlots
    private var slot: ConnectionSlots.Slot?
    /// Counts the connections that have left HTTP.
    private let departures: Departures
    /// Whether the connection has left HTTP: then other handlers drive it.
    private(set) var hasLeft = false
    /// Bytes received since the last parsed part of a request.
    var unparsedBytes = 0
    /// Whether the request whose head comes next is the connection's last.
    var isLastRequest = false
    /// Whether that request offers to upgrade.
    var offersUpgrade = false
    /// The HTTP version of the request whose head comes next.
    var version = HTTPVersion.http1_1

    init(
        limits: ConnectionLimits, metrics: RequestMetrics, slots: ConnectionSlots, budget: ByteBudget,
        departures: Departures, hasCORS: Bool
    ) {
        self.hasCORS = hasCORS
        self.slots = slots
        self.metrics = metrics
        self.budget = budget
        self.departures = departures
        self.state = ConnectionState(limits: limits, now: .zero)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        state = ConnectionState(limits: state.limits, now: .now(context))
        if context.channel.isActive { start(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        delayedClose?.succeed()
        delayedClose = nil
        metrics.connections.decrement()
        if let slot { slots.leave(slot) }
        hold(0, &bodyBytes)
        hold(0, &answerBytes)
        hold(0, &headBytes)
        if hasLeft { departures.decrement() }
        leave()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            leave()
        case is ChannelShouldQuiesceEvent:
            state.quiesce(now: .now(context))
            schedule(context)
        case is ConnectionSlots.MakeRoom:
            if state.isIdle, unparsedBytes == 0 { context.close(promise: nil) }
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Calls `body` when the client closes the connection or its sending side; at once if it has done so.
    func whenClientLeaves(_ body: @escaping @Sendable () -> Void) {
        if isLeft { body() } else { onLeaving = body }
    }

    private func leave() {
        isLeft = true
        onLeaving?()
        onLeaving = nil
    }

    /// Prepares to leave HTTP with the answer to the current request: after a 101, or the head of a stream, `handlers`
    /// take over the connection.
    ///
    /// - Returns: false if the connection is not in a state that permits it.
    /// - Throws: `.overloaded` at the limit of streams.
    func prepare(
        _ departure: Departure.Kind, to handlers: @escaping (HTTPVersion) -> [any ChannelHandler]
    ) throws(ChatError) -> Bool {
        switch departure {
        case .upgrade: guard offersUpgrade, state.mayLeaveHTTP else { return false }
        case .stream: guard state.mayStream else { return false }
        }
        guard let slot, slots.becomesStream(slot) else { throw .overloaded }
        nextProtocol = handlers
        return true
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if state.isLingering { return }
        unparsedBytes = 0
        let part = unwrapInboundIn(data)
        if case .head(let head) = part, let slot {
            slot.isBusy()
            if slot.isSpare {
                isLastRequest = true
                guard HealthController.answers(head) else {
                    return breakOff(context, .full, ChatError.overloaded)
                }
            }
        }
        guard state.read(part, isLast: isLastRequest, now: .now(context)) else { return }
        if case .body(let buffer) = part {
            let bytes = bodyBytes + buffer.readableBytes
            guard bytes <= ByteBudget.small || !budget.isSpent(for: client) else {
                return breakOff(context, .slowClients, ByteBudget.Spent())
            }
            hold(bytes, &bodyBytes)
        }
        context.fireChannelRead(data)
        if case .head(let head) = part, head.headerFields[.expect]?.isName("100-continue") == true,
            state.unanswered == 1
        {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        countHead(context)
        context.fireChannelReadComplete()
        if state.isLingering { context.read() }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        var part = unwrapOutboundIn(data)
        var data = data
        if case .head(let head) = part {
            part = .head(amended(head))
            data = wrapOutboundOut(part)
        }
        if case .body(let buffer) = part {
            hold(answerBytes + buffer.readableBytes, &answerBytes)
        }
        guard case .end = part else { return write(part, data, promise, context) }
        onLeaving = nil
        hold(0, &bodyBytes)
        if let nextProtocol, state.isSwitching {
            context.writeAndFlush(data, promise: promise)
            return leaveHTTP(for: nextProtocol(version), context)
        }
        if let nextProtocol, state.isStreaming {
            // A stream's body continues after this part.
            promise?.succeed()
            return leaveHTTP(for: nextProtocol(version), context)
        }
        // `close` waits until all answers are written.
        let written = promise ?? context.eventLoop.makePromise()
        unwrittenAnswers += 1
        let writtenBytes = answerBytes
        answerBytes = 0
        written.futureResult.assumeIsolatedUnsafeUnchecked().whenComplete { _ in
            self.budget.change(by: -writtenBytes, of: self.client)
            self.unwrittenAnswers -= 1
            if self.unwrittenAnswers == 0, let close = self.delayedClose {
                self.delayedClose = nil
                context.close(promise: close)
            }
        }
        write(part, data, written, context)
    }

    private func hold(_ bytes: Int, _ held: inout Int) {
        budget.change(by: bytes - held, of: client)
        held = bytes
    }

    private func countHead(_ context: ChannelHandlerContext) {
        let bytes = hasLeft || isDone ? 0 : unparsedBytes
        guard bytes != headBytes else { return }
        hold(bytes, &headBytes)
        guard bytes > ByteBudget.small, budget.isSpent(for: client) else { return }
        breakOffEarly(context, .slowClients, ByteBudget.Spent())
    }

    private func amended(_ head: HTTPResponse) -> HTTPResponse {
        var head = head
        if state.isLastAnswer, head.status.code >= 200 {
            // A sender of Upgrade must list it in Connection (RFC 9110, 7.8).
            head.headerFields[.connection] = head.headerFields[.upgrade] == nil ? "close" : "upgrade, close"
        }
        // Hummingbird adds Content-Length: 0 to an answer to HEAD, and to a 101.
        if head.isEventStream || head.status == .switchingProtocols { head.headerFields[.contentLength] = nil }
        return head
    }

    /// Delays the close until all answers are written. A shutdown closes as soon as the last answer is handed over, and
    /// would lose the part that the kernel does not have yet.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        // HTTP no longer drives the connection. The handlers that replaced it close it.
        if hasLeft { return promise?.succeed() ?? () }
        guard mode == .all, unwrittenAnswers > 0 else { return context.close(mode: mode, promise: promise) }
        let close = delayedClose ?? context.eventLoop.makePromise()
        close.futureResult.cascade(to: promise)
        delayedClose = close
    }

    private func write(
        _ part: HTTPResponsePart, _ data: NIOAny, _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
    ) {
        switch state.write(part, now: .now(context)) {
        case .write:
            context.write(data, promise: promise)
            if state.isIdle { slot?.idles(since: context.eventLoop.now) }
        case .writeAndLinger:
            context.writeAndFlush(data, promise: promise)
            linger(context)
        case .writeAndRefuse:
            context.write(data, promise: promise)
            refuse(context)
        case .drop:
            promise?.fail(ChannelError.alreadyClosed)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // Errors after the first: the client has its answer, or will get it.
        case _ where state.isBroken || state.isLingering: break
        case HTTPParserError.headerOverflow: breakOff(context, .headersTooLarge, error)
        case is HTTPParserError, is HTTP1TypeConversionError: breakOff(context, .notHTTP, error)
        default: context.fireErrorCaught(error)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        state.setWritable(context.channel.isWritable, now: .now(context))
        schedule(context)
        context.fireChannelWritabilityChanged()
    }

    /// Answers with the problem after the requests before it, and reads no more requests.
    private func breakOff(_ context: ChannelHandlerContext, _ problem: Problem, _ error: any Error) {
        self.problem = problem
        switch state.breakOff(now: .now(context)) {
        case .refuse: refuse(context)
        case .linger: linger(context)
        case .pass: context.fireErrorCaught(error)
        case .wait: break
        }
    }

    /// The same, for the handlers before this one.
    func breakOffEarly(_ context: ChannelHandlerContext, _ problem: Problem, _ error: any Error) {
        guard !state.isBroken, let own = try? context.pipeline.syncOperations.context(handler: self) else { return }
        breakOff(own, problem, error)
    }

    /// Whether all further input is dropped.
    var isDone: Bool { state.isBroken || state.isLingering }

    /// Replaces HTTP's handlers. The guard stays, to enforce the write time-out and to count the connection.
    private func leaveHTTP(for handlers: [any ChannelHandler], _ context: ChannelHandlerContext) {
        nextProtocol = nil
        hasLeft = true
        departures.increment()
        state.leaveHTTP()
        schedule(context)
        let pipeline = context.pipeline.syncOperations
        do {
            for handler in try [
                pipeline.context(handlerType: HeadWatch.self),
                pipeline.context(handlerType: HTTP1ToHTTPServerCodec.self),
                pipeline.context(handlerType: HTTPResponseEncoder.self),
                pipeline.context(handlerType: UnparsedBytesLimit.self),
            ] {
                pipeline.removeHandler(context: handler, promise: nil)
            }
            // They may write as soon as they are added.
            try pipeline.addHandlers(handlers, position: .before(self))
            // The decoder goes last: it passes its unread bytes to the next handler, which must understand them.
            pipeline.removeHandler(
                context: try pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self), promise: nil)
        } catch {
            context.close(promise: nil)  // A handler is missing: the connection is closing already.
        }
    }

    private func refuse(_ context: ChannelHandlerContext) {
        var problem = problem
        problem.closesConnection = true
        metrics.refusedConnection(problem.code)
        let requestID = String(UInt64.random(in: .min ... .max), radix: 16)
        let body = problem.document(requestID: requestID)
        var head = HTTPResponse(status: problem.status, headerFields: problem.headers())
        head.headerFields.addProtection(hasCORS: hasCORS)
        head.headerFields[.requestID] = requestID
        head.headerFields[.contentLength] = String(body.readableBytes)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(body)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        linger(context)
    }

    private func linger(_ context: ChannelHandlerContext) {
        context.close(mode: .output, promise: nil)
        context.read()
        schedule(context)
    }

    private func start(_ context: ChannelHandlerContext) {
        let slot = slots.enter(context.channel)
        client = slot.address
        slot.idles(since: context.eventLoop.now)
        self.slot = slot
        metrics.connections.increment()
        schedule(context)
    }

    /// One timer a connection. It fires at the deadline, or after the shortest time-out to look for a new deadline, so
    /// that a request does not have to reset it.
    private func schedule(_ context: ChannelHandlerContext) {
        timer?.cancel()
        let limits = state.limits
        let shortest = min(limits.idle, limits.body, limits.write)
        let delay = state.deadline.map { min(max($0 - .now(context), .zero), shortest) } ?? shortest
        timer = context.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: TimeAmount(delay)) {
            if let deadline = self.state.deadline, deadline <= .now(context) {
                if !self.state.isLingering { self.metrics.refusedConnection(ChatError.timedOut.code) }
                context.close(promise: nil)
            } else {
                self.schedule(context)
            }
        }
    }
}

@available(*, unavailable)
extension ConnectionGuard: Sendable {}

extension Duration {
    fileprivate static func now(_ context: ChannelHandlerContext) -> Duration {
        .nanoseconds(Int64(clamping: context.eventLoop.now.uptimeNanoseconds))
    }
}
