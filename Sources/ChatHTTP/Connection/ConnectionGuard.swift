import ChatCore
import HTTPTypes
import Metrics
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// Stands between a socket and the requests on it: closes clients that are too slow, answers what is no HTTP, counts
/// connections. `ConnectionState` decides.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let metrics: RequestMetrics
    private var state: ConnectionState
    private var timer: Scheduled<Void>?
    private var problem = Problem.notHTTP
    private var unwrittenAnswers = 0
    private var delayedClose: EventLoopPromise<Void>?
    /// What has arrived since the last part of a request was understood.
    fileprivate var unparsedBytes = 0
    /// Whether the request whose head comes next is the connection's last.
    fileprivate var isLastRequest = false

    init(limits: ConnectionLimits, metrics: RequestMetrics) {
        self.metrics = metrics
        self.state = ConnectionState(limits: limits, now: .zero)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        state = ConnectionState(limits: state.limits, now: .now(context))
        // The decoder keeps an incomplete head to itself, so its size is watched from the other side.
        try? context.pipeline.syncOperations.addHandler(UnparsedBytesLimit(guard: self), position: .first)
        if let codec = try? context.pipeline.syncOperations.handler(type: HTTP1ToHTTPServerCodec.self) {
            try? context.pipeline.syncOperations.addHandler(HeadWatch(guard: self), position: .before(codec))
        }
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
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if state.isLingering { return }
        unparsedBytes = 0
        let part = unwrapInboundIn(data)
        guard state.read(part, isLast: isLastRequest, now: .now(context)) else { return }
        context.fireChannelRead(data)
        if case .head(let head) = part, head.headerFields[.expect]?.lowercased() == "100-continue",
            state.unanswered == 1
        {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if state.isLingering { context.read() }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        var part = unwrapOutboundIn(data)
        var data = data
        if case .head(var head) = part, state.isLastAnswer, head.status.code >= 200 {
            head.headerFields[.connection] = "close"
            part = .head(head)
            data = wrapOutboundOut(part)
        }
        guard case .end = part else { return write(part, data, promise, context) }
        // Whether the answer has wholly left is what `close` wants to know.
        let written = promise ?? context.eventLoop.makePromise()
        unwrittenAnswers += 1
        written.futureResult.assumeIsolatedUnsafeUnchecked().whenComplete { _ in
            self.unwrittenAnswers -= 1
            if self.unwrittenAnswers == 0, let close = self.delayedClose {
                self.delayedClose = nil
                context.close(promise: close)
            }
        }
        write(part, data, written, context)
    }

    /// A shutdown closes as soon as the last answer is handed over; what of it is not with the kernel yet would be lost.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
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
        // What follows on something that could not be parsed cannot either; it was answered for.
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

    /// Answers with the problem, after what is still to be answered, and reads no more requests.
    fileprivate func breakOff(_ context: ChannelHandlerContext, _ problem: Problem, _ error: any Error) {
        self.problem = problem
        switch state.breakOff(now: .now(context)) {
        case .refuse: refuse(context)
        case .linger: linger(context)
        case .pass: context.fireErrorCaught(error)
        case .wait: break
        }
    }

    /// The same, called by the handlers before this one.
    fileprivate func breakOffEarly(_ context: ChannelHandlerContext, _ problem: Problem, _ error: any Error) {
        guard !state.isBroken, let own = try? context.pipeline.syncOperations.context(handler: self) else { return }
        breakOff(own, problem, error)
    }

    /// Whether nothing that still arrives is of interest.
    fileprivate var isDone: Bool { state.isBroken || state.isLingering }

    private func refuse(_ context: ChannelHandlerContext) {
        var problem = problem
        problem.closesConnection = true
        metrics.refusedConnection(problem.code)
        let requestID = String(UInt64.random(in: .min ... .max), radix: 16)
        let body = problem.document(requestID: requestID)
        var head = HTTPResponse(status: problem.status, headerFields: problem.headers)
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
        metrics.connections.increment()
        schedule(context)
    }

    /// One timer a connection. It fires at the deadline, or after the shortest time-out to look for a new one, so
    /// that a request in time sets none.
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

/// Tells the guard what the codec behind it leaves out: HTTP/1.0, `Connection: close` however it is written, and the
/// requests after which NIO's parser stops (an offer to upgrade, which nothing here takes, and CONNECT). Refuses a
/// request of HTTP/1.1 that does not have exactly one `Host` (RFC 9112, 3.2).
private final class HeadWatch: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    private let connection: ConnectionGuard

    init(guard connection: ConnectionGuard) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if connection.isDone { return }
        if case .head(let head) = unwrapInboundIn(data) {
            guard head.version != .http1_1 || head.headers["Host"].count == 1 else {
                return connection.breakOffEarly(context, .oneHost, HTTPParserError.unknown)
            }
            connection.isLastRequest =
                !head.isKeepAlive || head.headers.contains(name: "Upgrade") || head.method == .CONNECT
        }
        context.fireChannelRead(data)
    }
}

/// Counts raw bytes that no request part has come of yet.
private final class UnparsedBytesLimit: ChannelInboundHandler {
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

extension Duration {
    fileprivate static func now(_ context: ChannelHandlerContext) -> Duration {
        .nanoseconds(Int64(clamping: context.eventLoop.now.uptimeNanoseconds))
    }
}
