import ChatCore
import HTTPTypes
import Metrics
import NIOCore
import TLS

/// One connection. Over HTTP/1 it reads requests, calls their endpoints and writes the answers, all on its event loop. It
/// closes slow clients, answers malformed HTTP, and hands over to streams, WebSockets and HTTP/2. `ConnectionState`
/// decides.
///
/// It parses requests in the socket's buffers. If the answer is available at once, it writes it in the same call: such
/// a request takes no task and no other thread.
final class HTTPConnection: ChannelDuplexHandler, RequestCarrier {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// In bytes.
    private static let largestRead = 16 << 10
    /// Pipelined requests that are answered before other connections have their turn, less where they have bodies.
    private static let stepsATurn = 64

    let server: HTTPServer.Shared
    let loop: LoopState
    var state: ConnectionState
    var parser = RequestParser()
    /// Received bytes that are not parsed yet.
    var inbound = ByteBuffer()
    /// The request whose body is still incomplete.
    var incoming: (request: Request, destination: API.Destination)?
    /// For the current request; nil if it has no body, or all of it was read.
    var bodyReader: BodyReader?
    /// The request that is being answered.
    var call: Call?
    var recentAccess: RecentAccess?
    /// The client's: the peer's or, of a trusted proxy, the one that it names for the current request.
    var address = IPAddress.unspecified
    /// The client of a trusted proxy that the current request is counted for (`ConnectionSlots.carries`).
    var carried: IPAddress?
    /// What the client's shares are counted for.
    var client = IPAddress.unspecified
    var slot: ConnectionSlots.Slot?
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    /// Bytes of heads and bodies that the budget counts for this connection.
    var counted = 0
    var isProcessing = false
    var needsFlush = false
    /// The channel asked to read while too many bytes were waiting.
    var isReadHeld = false
    private var hasLeft = false
    var isInputClosed = false
    var onLeaving: (@Sendable () -> Void)?
    var paced: Result<Response, any Error>?

    init(_ server: HTTPServer.Shared, _ loop: LoopState) {
        self.server = server
        self.loop = loop
        self.state = ConnectionState(limits: server.limits, now: .zero)
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        state = ConnectionState(limits: state.limits, now: .now(context))
        let options = context.channel.syncOptions
        // Small reads: many parsed heads take much more memory than their bytes.
        // Channels other than sockets lack these options.
        let buffers = AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 2048, maximum: Self.largestRead)
        try? options?.setOption(.maxMessagesPerRead, value: 1)
        try? options?.setOption(.recvAllocator, value: buffers)
        // So that a writable channel buffers little.
        let marks = ChannelOptions.Types.WriteBufferWaterMark(low: ByteBudget.small / 2, high: ByteBudget.small)
        try? options?.setOption(.writeBufferWaterMark, value: marks)
        if context.channel.isActive { start(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    private func start(_ context: ChannelHandlerContext) {
        guard slot == nil else { return }
        let slot = server.slots.enter(context.channel)
        address = IPAddress(context.channel.remoteAddress)
        client = slot.address
        slot.idles(since: context.eventLoop.now)
        self.slot = slot
        server.metrics.connections.increment()
        schedule(context)
        // It opened while the others were being told of the shutdown.
        if server.slots.isQuiescing { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        server.metrics.connections.decrement()
        endCarrying()
        if let slot { server.slots.leave(slot) }
        inbound = ByteBuffer()
        incoming = nil
        call = nil
        count(0)
        leave()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if state.hasDeparted { return context.fireChannelRead(data) }
        if state.isLingering { return }
        inbound.receive(unwrapInboundIn(data))
        process(context)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if !state.hasDeparted { countInbound(context) }
        context.fireChannelReadComplete()
    }

    /// Backpressure: while a request is being answered, or the client does not read its answers, it reads no more bytes
    /// than a head may have.
    func read(context: ChannelHandlerContext) {
        isReadHeld = inbound.readableBytes > RequestLimits.unparsed
        if !isReadHeld { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        state.setWritable(context.channel.isWritable, now: .now(context))
        schedule(context)
        if context.channel.isWritable, !state.hasDeparted { process(context) }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            isInputClosed = true
            leave()
            if !state.hasDeparted { process(context) }
        case is ChannelShouldQuiesceEvent:
            state.quiesce()
            quiesce()
            if state.isIdle { endQuietly(context) }
            // Do not wait for the rest of that body.
            if case .discardingBody = state.phase { linger(context) }
        case let agreed as TLSHandler.ApplicationProtocol where agreed == .http2: return becomeHTTP2(context)
        case is ConnectionSlots.MakeRoom:
            if state.isIdle, inbound.readableBytes == 0 { endQuietly(context) }
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case _ where state.hasDeparted: context.fireErrorCaught(error)
        case TLSError.notTLS: refuse(.notHTTPS, context)
        case is TLSError where state.isIdle:
            server.metrics.refusedConnection(RequestMetrics.failedTLS)
            // Let the client read the alert.
            linger(context)
        default: context.close(promise: nil)
        }
    }

    func whenClientLeaves(_ body: @escaping @Sendable () -> Void) {
        if hasLeft { body() } else { onLeaving = body }
    }

    /// Ends the sending side after HTTP/2, and gives the client the time to read why.
    func lingerAfterHTTP2() {
        if let context, state.hasDeparted, context.channel.isActive { linger(context) }
    }

    private func leave() {
        hasLeft = true
        onLeaving?()
        onLeaving = nil
    }

    // MARK: Requests

    /// Parses the received bytes until it has to wait, and sends the answers that are available.
    private func process(_ context: ChannelHandlerContext) {
        guard !isProcessing else { return }
        isProcessing = true
        var steps = 0
        while steps < Self.stepsATurn, readOn(context) { steps += 1 }
        isProcessing = false
        if needsFlush { flush(context) }
        // Other connections of the event loop come first.
        if steps == Self.stepsATurn { return processLater(context) }
        if isReadHeld { read(context: context) }
        // The client sends no more: an incomplete request will never be complete.
        guard isInputClosed else { return }
        switch state.phase {
        case .awaitingHead where inbound.readableBytes > 0 && !context.channel.isWritable: break
        case .awaitingHead, .awaitingBody, .discardingBody: endQuietly(context)
        case .answering, .departed, .lingering: break
        }
    }

    private func processLater(_ context: ChannelHandlerContext) {
        context.eventLoop.assumeIsolatedUnsafeUnchecked().execute {
            if let context = self.context, !self.state.hasDeparted { self.process(context) }
        }
    }

    /// - Returns: whether there may be more to do.
    private func readOn(_ context: ChannelHandlerContext) -> Bool {
        do throws(Problem) {
            switch state.phase {
            case .awaitingHead:
                // A client that does not read its answers gets no others.
                guard inbound.readableBytes > 0, context.channel.isWritable else { return false }
                guard let request = try parser.readHead(&inbound) else { return false }
                if inbound.readableBytes == 0 { inbound = ByteBuffer() }
                try begin(request, context)
                return true
            case .awaitingBody: return try readBody(context)
            case .discardingBody: return try discardBody(context)
            case .answering, .departed, .lingering: return false
            }
        } catch {
            refuse(error, context)
            return false
        }
    }

    private func begin(_ request: Request, _ context: ChannelHandlerContext) throws(Problem) {
        slot?.isBusy()
        let isSpare = slot?.isSpare == true
        if isSpare, !HealthController.answers(request) { throw .full }
        if let slot, slot.isProxied { try takeClient(of: request, slot, context) }
        let destination = server.api.destination(
            of: request, on: loop, port: context.channel.localAddress?.port)
        bodyReader = request.framing == .none ? nil : BodyReader(request.framing)
        let isLast = request.isLast || isSpare
        guard bodyReader != nil, case .endpoint(let entry, _) = destination, entry.takesBody else {
            state.begin(isLast: isLast, awaitsBody: false, now: .now(context))
            return answer(request, destination, context)
        }
        state.begin(isLast: isLast, awaitsBody: true, now: .now(context))
        incoming = (request, destination)
        // Refuse a body that is announced as too large before reading it.
        if case .length(let length) = request.framing, length > RequestLimits.body {
            return refuseBody(.bodyTooLarge, context)
        }
        // RFC 9110, 10.1.1: ignore the expectation in HTTP/1.0.
        if !request.isHTTP10, request.headers[.expect]?.isName("100-continue") == true, inbound.readableBytes == 0 {
            context.writeAndFlush(
                wrapOutboundOut(ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
        }
    }

    /// - Returns: whether the body has ended.
    private func readBody(_ context: ChannelHandlerContext) throws(Problem) -> Bool {
        guard let destination = incoming?.destination, var request = incoming?.request, var reader = bodyReader else {
            return false
        }
        // Hold the only reference to the body: appending to a shared buffer would copy it for each piece.
        incoming = nil
        var body = request.body
        request.body = ByteBuffer()
        do throws(Problem) {
            let isWhole = try reader.read(&inbound) { (piece: ByteBuffer) throws(Problem) in
                guard body.readableBytes + piece.readableBytes <= RequestLimits.body else { throw .bodyTooLarge }
                if body.readableBytes == 0, piece.storageCapacity <= ByteBuffer.shareable {
                    body = piece
                } else {
                    body.writeImmutableBuffer(piece)
                }
            }
            bodyReader = isWhole ? nil : reader
            // The client's share of the memory may have no room for a long body.
            if body.readableBytes > ByteBudget.small, server.budget.isSpent(for: client) { throw .slowClients }
        } catch {
            incoming = (request, destination)
            refuseBody(error, context)
            return true
        }
        if inbound.readableBytes == 0 { inbound = ByteBuffer() }
        request.body = body
        guard bodyReader == nil else {
            incoming = (request, destination)
            return false
        }
        state.hasBody()
        answer(request, destination, context)
        return true
    }

    private func discardBody(_ context: ChannelHandlerContext) throws(Problem) -> Bool {
        guard var reader = bodyReader else { return false }
        let isWhole = try reader.read(&inbound) { (_: ByteBuffer) throws(Problem) in }
        if inbound.readableBytes == 0 { inbound = ByteBuffer() }
        bodyReader = isWhole ? nil : reader
        if isWhole {
            state.hasDiscardedBody(now: .now(context))
            idle(context)
        }
        return isWhole
    }

    /// Answers the request without reading the rest of its body.
    private func refuseBody(_ problem: Problem, _ context: ChannelHandlerContext) {
        guard let (request, destination) = incoming else { return }
        incoming = nil
        var problem = problem
        problem.closesConnection = true
        state.hasBody()
        _ = begin(request, destination, context)
        finish(.failure(problem), context)
    }

    private func begin(_ request: Request, _ destination: API.Destination, _ context: ChannelHandlerContext) -> Call {
        let call = Call(
            request, to: destination, address: address, client: client, carrier: self, eventLoop: context.eventLoop)
        self.call = call
        return call
    }

    private func answer(_ request: Request, _ destination: API.Destination, _ context: ChannelHandlerContext) {
        let call = begin(request, destination, context)
        if let result = answerInTurn(call) { finish(result, context) }
    }

    func hasAnswer(_ result: Result<Response, any Error>, to call: Call) {
        // The connection has closed, or the request has its answer already.
        guard let context, self.call === call else { return }
        finish(result, context)
        // Pipelined requests may be waiting behind it. Answer them first, to send the answers together.
        process(context)
        if counted > 0 { count(heldBytes) }
    }

    /// One timer a connection. It fires at the deadline, or after the shortest time-out to look for a new deadline, so
    /// that a request does not have to reset it.
    func schedule(_ context: ChannelHandlerContext) {
        timer?.cancel()
        let limits = state.limits
        let shortest = min(limits.idle, limits.body, limits.write)
        let delay = state.deadline.map { min(max($0 - .now(context), .zero), shortest) } ?? shortest
        timer = context.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: TimeAmount(delay)) {
            if let deadline = self.state.deadline, deadline <= .now(context) {
                if !self.state.isLingering || !context.channel.isWritable {
                    self.server.metrics.refusedConnection(ChatError.timedOut.code)
                }
                context.close(promise: nil)
            } else {
                self.schedule(context)
            }
        }
    }
}

@available(*, unavailable)
extension HTTPConnection: Sendable {}

extension Duration {
    static func now(_ context: ChannelHandlerContext) -> Duration {
        .nanoseconds(Int64(clamping: context.eventLoop.now.uptimeNanoseconds))
    }
}
