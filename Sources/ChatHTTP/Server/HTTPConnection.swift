import ChatCore
import HTTPTypes
import Metrics
import NIOCore

/// One connection of HTTP/1: reads requests, has them answered, and writes the answers, all on its event loop. Closes
/// clients that are too slow, answers malformed HTTP, and lets streams and WebSockets take over. `ConnectionState` decides.
///
/// What arrives is read straight from the socket's buffers and answered from the same call, where the answer is at hand: a
/// request costs no task and no other thread.
final class HTTPConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// In bytes.
    private static let largestRead = 16 << 10
    /// A body that is as long or shorter is written in one piece with its head.
    private static let smallBody = 4 << 10

    private let server: HTTPServer.Shared
    private let loop: LoopState
    private var state: ConnectionState
    private var parser = RequestParser()
    /// What has arrived and is not read yet.
    private var inbound = ByteBuffer()
    /// The request whose body is waited for.
    private var incoming: (request: Request, destination: API.Destination)?
    /// Of the request in hand; nil where it has no body, or all of it was read.
    private var bodyReader: BodyReader?
    /// The request that is to be answered.
    private var call: Call?
    private var client = ClientAddress(nil)
    private var slot: ConnectionSlots.Slot?
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    /// Of heads and bodies that are here.
    private var counted = 0
    private var isProcessing = false
    private var needsFlush = false
    /// The channel asked to be read while too much had arrived already.
    private var isReadHeld = false
    private var hasLeft = false
    private var isInputClosed = false
    private var onLeaving: (@Sendable () -> Void)?

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
        // Heads that come many at once weigh much more than their bytes. Channels that are no sockets have no such options.
        let buffers = AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 2048, maximum: Self.largestRead)
        try? options?.setOption(.maxMessagesPerRead, value: 1)
        try? options?.setOption(.recvAllocator, value: buffers)
        // So that what waits in a channel that is writable is small.
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
        client = slot.address
        slot.idles(since: context.eventLoop.now)
        self.slot = slot
        server.metrics.connections.increment()
        schedule(context)
        // It came while the others were told.
        if server.slots.isQuiescing { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        server.metrics.connections.decrement()
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

    /// Of what waits for an answer, or for a client that reads its answers, no more is read than a head may have.
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
            if state.isIdle { endQuietly(context) }
            // The rest of that body is not waited for.
            if case .discardingBody = state.phase { linger(context) }
        case is ConnectionSlots.MakeRoom:
            if state.isIdle, inbound.readableBytes == 0 { endQuietly(context) }
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if state.hasDeparted { context.fireErrorCaught(error) } else { context.close(promise: nil) }
    }

    /// Calls `body` when the client closes, or says that it will send no more; at once if it has.
    func whenClientLeaves(_ body: @escaping @Sendable () -> Void) {
        if hasLeft { body() } else { onLeaving = body }
    }

    private func leave() {
        hasLeft = true
        onLeaving?()
        onLeaving = nil
    }

    // MARK: Requests

    /// Reads what has arrived, as far as it can be dealt with now, and sends the answers that were at hand.
    private func process(_ context: ChannelHandlerContext) {
        guard !isProcessing else { return }
        isProcessing = true
        while readOn(context) {}
        isProcessing = false
        if needsFlush { flush(context) }
        if isReadHeld { read(context: context) }
        // What will not come any more cannot be waited for.
        guard isInputClosed else { return }
        switch state.phase {
        case .awaitingHead where inbound.readableBytes > 0 && !context.channel.isWritable: break
        case .awaitingHead, .awaitingBody, .discardingBody: endQuietly(context)
        case .answering, .departed, .lingering: break
        }
    }

    /// - Returns: whether there may be more to do.
    private func readOn(_ context: ChannelHandlerContext) -> Bool {
        do throws(Problem) {
            switch state.phase {
            case .awaitingHead:
                // A client that does not read its answers gets no more of them.
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
        let destination = server.api.destination(of: request, port: context.channel.localAddress?.port)
        bodyReader = request.framing == .none ? nil : BodyReader(request.framing)
        let isLast = request.isLast || isSpare
        guard bodyReader != nil, case .endpoint(let entry, _) = destination, entry.takesBody else {
            state.begin(isLast: isLast, awaitsBody: false, now: .now(context))
            return answer(request, destination, context)
        }
        state.begin(isLast: isLast, awaitsBody: true, now: .now(context))
        incoming = (request, destination)
        // What the client announces is refused before it is read.
        if case .length(let length) = request.framing, length > RequestLimits.body {
            return refuseBody(.bodyTooLarge, context)
        }
        // In HTTP/1.0 the expectation is to be ignored (RFC 9110, 10.1.1).
        if !request.isHTTP10, request.headers[.expect]?.isName("100-continue") == true, inbound.readableBytes == 0 {
            context.writeAndFlush(
                wrapOutboundOut(ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
        }
    }

    /// - Returns: whether the body has come to its end.
    private func readBody(_ context: ChannelHandlerContext) throws(Problem) -> Bool {
        guard let destination = incoming?.destination, var request = incoming?.request, var reader = bodyReader else {
            return false
        }
        // The body is held here alone, so that no piece copies those before it.
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
            // For a long body there may be no room.
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
            slot?.idles(since: context.eventLoop.now)
        }
        return isWhole
    }

    /// The request is answered without its body, which is not read on.
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
        let call = Call(request, to: destination, client: client, connection: self, eventLoop: context.eventLoop)
        self.call = call
        return call
    }

    private func answer(_ request: Request, _ destination: API.Destination, _ context: ChannelHandlerContext) {
        let call = begin(request, destination, context)
        switch server.api.answer(call) {
        case .failure(let error): finish(.failure(error), context)
        case .success(.now(let response)): finish(.success(response), context)
        case .success(.later(let start)): start(reply(to: call, context))
        case .success(.task(let body)): run(body, reply(to: call, context))
        case .success(.wait(let body)): run(body, reply(to: call, context), on: loop.executor)
        }
    }

    private func run(
        _ body: @escaping @Sendable () async throws -> Response, _ reply: @escaping EndpointResult.Reply,
        on executor: LoopExecutor? = nil
    ) {
        Task(executorPreference: executor) {
            let result: Result<Response, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            reply(result)
        }
    }

    /// What hands an answer over to this connection, from any thread.
    private func reply(to call: Call, _ context: ChannelHandlerContext) -> EndpointResult.Reply {
        let eventLoop = context.eventLoop
        let connection = NIOLoopBound(self, eventLoop: eventLoop)
        return { result in
            if eventLoop.inEventLoop {
                connection.value.hasAnswer(result, to: call)
            } else {
                eventLoop.execute { connection.value.hasAnswer(result, to: call) }
            }
        }
    }

    /// An answer has come that was waited for.
    private func hasAnswer(_ result: Result<Response, any Error>, to call: Call) {
        // Nobody is there any more to read it, or it has its answer.
        guard let context, self.call === call else { return }
        finish(result, context)
        // Others may have been waiting for it. They are answered first, and sent together with this one.
        process(context)
        if counted > 0 { count(heldBytes) }
    }

    // MARK: Answers

    /// Writes the answer of the request in hand.
    private func finish(_ result: Result<Response, any Error>, _ context: ChannelHandlerContext) {
        guard let call else { return }
        var response: Response
        switch result {
        case .success(let success): response = success
        case .failure(let error): response = server.api.response(for: call, failedWith: error)
        }
        if let refusal = refusal(of: response, to: call) {
            response = server.api.response(for: call, failedWith: refusal)
        }
        self.call = nil
        onLeaving = nil
        server.api.observe(call, response.status)
        let request = call.request
        let isLast = state.isLastAnswer || response.closesConnection
        write(
            response, isHead: call.isHead,
            Response.Form(
                requestID: call.requestID, date: loop.date.value, cors: server.api.corsLines(for: request),
                isHTTP10: request.isHTTP10, isLast: isLast), context)
        if request.method != .head, let departure = response.departure {
            return depart(departure, isChunked: !request.isHTTP10, context)
        }
        switch state.answered(
            isLast: isLast || response.departure != nil, isWhole: bodyReader == nil, now: .now(context))
        {
        case .request: if state.isIdle { slot?.idles(since: context.eventLoop.now) }
        case .linger: linger(context)
        }
    }

    /// Why an answer cannot be given after all.
    private func refusal(of response: Response, to call: Call) -> Problem? {
        if let departure = response.departure, !call.isHead {
            switch departure {
            case .upgrade: if !call.request.offersUpgrade { return .upgradeRequired }
            // What is still to come of the request could not be told from what follows.
            case .stream:
                if bodyReader != nil { return Problem(.invalid(["A request for a stream must not have a body"])) }
            }
            if let slot, !server.slots.becomesStream(slot) { return Problem(.overloaded) }
        }
        // What was stored is answered for, and health always.
        guard response.body.readableBytes > ByteBudget.small, call.request.method == .get,
            case .endpoint(let entry, _) = call.destination, !HealthController.paths.contains(entry.route.path)
        else { return nil }
        return server.budget.isSpent(for: client) ? .slowClients : nil
    }

    private func write(
        _ response: Response, isHead: Bool, _ form: Response.Form, _ context: ChannelHandlerContext
    ) {
        let bodyBytes = isHead ? 0 : response.body.readableBytes
        let isSmall = bodyBytes <= Self.smallBody
        var bytes = context.channel.allocator.buffer(capacity: 512 + (isSmall ? bodyBytes : 0))
        response.writeHead(to: &bytes, form)
        if bodyBytes > 0, isSmall { bytes.writeImmutableBuffer(response.body) }
        var written: EventLoopPromise<Void>?
        if bodyBytes > ByteBudget.small { written = countAnswer(bodyBytes, context) }
        context.write(wrapOutboundOut(bytes), promise: isSmall ? written : nil)
        if !isSmall { context.write(wrapOutboundOut(response.body), promise: written) }
        if isProcessing { needsFlush = true } else { flush(context) }
    }

    private func flush(_ context: ChannelHandlerContext) {
        needsFlush = false
        context.flush()
    }

    /// Counts a large answer until all of it is with the system. Of small ones no more waits than a channel's mark.
    private func countAnswer(_ bytes: Int, _ context: ChannelHandlerContext) -> EventLoopPromise<Void> {
        let written = context.eventLoop.makePromise(of: Void.self)
        server.budget.change(by: bytes, of: client)
        written.futureResult.assumeIsolatedUnsafeUnchecked().whenComplete { _ in
            self.server.budget.change(by: -bytes, of: self.client)
        }
        return written
    }

    /// What is here of a head or a body. A short body in hand is not worth counting.
    private var heldBytes: Int {
        if state.hasDeparted { return 0 }
        let inHand = call?.request.body.readableBytes ?? 0
        return inbound.readableBytes + (incoming?.request.body.readableBytes ?? 0)
            + (inHand > ByteBudget.small ? inHand : 0)
    }

    /// Counts what is here of a head or a body.
    private func countInbound(_ context: ChannelHandlerContext) {
        let bytes = heldBytes
        let isMore = bytes > counted
        count(bytes)
        // A head for which there is no room is not waited for.
        guard isMore, state.isIdle, inbound.readableBytes > ByteBudget.small, server.budget.isSpent(for: client),
            context.channel.isWritable
        else { return }
        refuse(.slowClients, context)
    }

    private func count(_ bytes: Int) {
        guard bytes != counted else { return }
        server.budget.change(by: bytes - counted, of: client)
        counted = bytes
    }

    // MARK: Ends

    /// Answers what is no request, or none that is taken, and reads no more.
    private func refuse(_ problem: Problem, _ context: ChannelHandlerContext) {
        if case .discardingBody = state.phase { return linger(context) }
        server.metrics.refusedConnection(problem.code)
        let requestID = RequestID.random()
        write(
            problem.response(requestID: requestID.description), isHead: false,
            Response.Form(
                requestID: requestID, date: loop.date.value, cors: server.api.corsLines(for: nil), isHTTP10: false,
                isLast: true), context)
        linger(context)
    }

    private func linger(_ context: ChannelHandlerContext) {
        state.linger(now: .now(context))
        inbound = ByteBuffer()
        incoming = nil
        context.flush()
        needsFlush = false
        context.close(mode: .output, promise: nil)
        schedule(context)
        if isReadHeld { read(context: context) }
    }

    /// Closes a connection that owes no answer. What the client has not read of the last one still leaves.
    private func endQuietly(_ context: ChannelHandlerContext) {
        if state.isLingering { return }
        guard needsFlush || bufferedBytes(context) > 0 else { return context.close(promise: nil) }
        linger(context)
    }

    private func bufferedBytes(_ context: ChannelHandlerContext) -> Int {
        (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// The connection leaves HTTP: these handlers have it. This one stays, for the time that a write may take and to count.
    private func depart(_ departure: Response.Departure, isChunked: Bool, _ context: ChannelHandlerContext) {
        needsFlush = false
        context.flush()
        state.depart()
        schedule(context)
        count(0)
        let handlers: [any ChannelHandler] =
            switch departure {
            case .stream(let make): make(isChunked)
            case .upgrade(let make): make()
            }
        let rest = inbound
        inbound = ByteBuffer()
        // What stays is kept for as long as the stream is open.
        parser = RequestParser()
        do {
            try context.pipeline.syncOperations.addHandlers(handlers, position: .after(self))
            if rest.readableBytes > 0 {
                context.fireChannelRead(wrapInboundOut(rest))
                context.fireChannelReadComplete()
            }
            if isInputClosed { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
        } catch {
            context.close(promise: nil)  // It is closing already.
        }
    }

    /// One timer a connection. It fires at the deadline, or after the shortest time-out to look for a new one, so that a
    /// request in time sets none.
    private func schedule(_ context: ChannelHandlerContext) {
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
    fileprivate static func now(_ context: ChannelHandlerContext) -> Duration {
        .nanoseconds(Int64(clamping: context.eventLoop.now.uptimeNanoseconds))
    }
}
