import ChatCore
import HTTPTypes
import NIOCore
import NIOHPACK
import NIOHTTP2

/// One stream of an HTTP/2 connection: reads its request, calls the endpoint, and writes the answer. It does for a
/// stream what `HTTPConnection` does for a connection, and `ConnectionState` decides for both.
final class HTTP2Stream: ChannelDuplexHandler, RequestCarrier {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = HTTP2Frame.FramePayload

    private let connection: HTTP2Connection
    private(set) var state: ConnectionState
    private(set) var context: ChannelHandlerContext?
    /// Whether the server has room for it.
    private var isAdmitted = false
    /// The request whose body is still incomplete.
    private var incoming: (request: Request, destination: API.Destination)?
    /// The request that is being answered.
    private(set) var call: Call?
    /// Whether the client has sent all of its request.
    private var isWhole = false
    private var isLive = false
    /// The application of a live stream.
    private var tenant: Tenant.ID?
    /// The client's address: the connection's or, of a trusted proxy, the one that it names.
    private var address: IPAddress
    /// What the client's shares are counted for.
    private var client: IPAddress
    /// Whether the request is counted for it (`ConnectionSlots.carries`).
    private var isCarried = false
    private var isReset = false
    private var hasEnded = false
    private var hasLeft = false
    private var onLeaving: (@Sendable () -> Void)?
    /// Bytes of the body that the budget counts.
    private var counted = 0
    /// Writes that the client has not taken, and since when it takes none.
    private var unwritten = 0
    private var unwrittenSince = Duration.zero
    var paced: Result<Response, any Error>?

    init(_ connection: HTTP2Connection) {
        self.connection = connection
        self.address = connection.address
        self.client = connection.client
        self.state = ConnectionState(limits: connection.base.server.limits, now: .zero)
    }

    var server: HTTPServer.Shared { connection.base.server }
    var loop: LoopState { connection.base.loop }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        state = ConnectionState(limits: state.limits, now: .now(context))
        // Fails only on a stream that the server opens.
        let id = try? context.channel.syncOptions?.getOption(HTTP2StreamChannelOptions.streamID)
        isAdmitted = connection.opened(self, id)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        close()
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        close()
        context.fireChannelInactive()
    }

    private func close() {
        guard !hasEnded else { return }
        hasEnded = true
        incoming = nil
        call = nil
        count()
        if isLive { server.slots.endsStream(of: tenant) }
        if isCarried { server.slots.carried(for: client) }
        leave()
        connection.closed(self, wasAdmitted: isAdmitted)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .headers(let payload):
            if case .awaitingHead = state.phase { begin(payload, context) } else { endBody(payload.headers, context) }
        case .data(let payload):
            if payload.endStream { isWhole = true }
            guard case .byteBuffer(let bytes) = payload.data, incoming != nil else { return }
            readBody(bytes, context)
        // `NIOHTTP2Handler` has acted on it.
        default: break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // That is the end of the request, not of the client.
        if let event = event as? ChannelEvent, event == .inputClosed { return }
        context.fireUserInboundEventTriggered(event)
    }

    /// The connection ends the stream after an error, or has done so.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// The client has closed the sending side of the connection.
    func inputClosed() {
        guard let context else { return }
        leave()
        if incoming != nil { return reset(.cancel, context) }
        if state.hasDeparted { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
    }

    func whenClientLeaves(_ body: @escaping @Sendable () -> Void) {
        if hasLeft { body() } else { onLeaving = body }
    }

    func leave() {
        hasLeft = true
        onLeaving?()
        onLeaving = nil
    }

    private func begin(_ payload: HTTP2Frame.FramePayload.Headers, _ context: ChannelHandlerContext) {
        isWhole = payload.endStream
        let request: Request
        do throws(RequestHead.Refusal) {
            request = try RequestHead.request(payload.headers, isWhole: isWhole)
        } catch {
            state.begin(isLast: true, awaitsBody: false, now: .now(context))
            switch error {
            case .malformed: return reset(.protocolError, context)
            case .problem(let problem): return refuse(problem, context)
            }
        }
        if !isAdmitted || connection.isSpare, !HealthController.answers(request) { return refuse(.full, context) }
        if connection.isProxied, !takeClient(of: request) { return refuse(.crowded, context) }
        let destination = server.api.destination(of: request, on: loop, port: connection.localPort)
        guard !isWhole, case .endpoint(let entry, _) = destination, entry.takesBody else {
            state.begin(isLast: true, awaitsBody: false, now: .now(context))
            return answer(request, destination, context)
        }
        state.begin(isLast: true, awaitsBody: true, now: .now(context))
        incoming = (request, destination)
        // Refuse a body that is announced as too large before reading it.
        if case .length(let length) = request.framing, length > RequestLimits.body {
            return refuseBody(.bodyTooLarge, context)
        }
        if request.headers[.expect]?.isName("100-continue") == true {
            let head = HTTP2Frame.FramePayload.Headers(headers: [":status": "100"])
            context.writeAndFlush(wrapOutboundOut(.headers(head)), promise: nil)
        }
    }

    /// Takes the client that a trusted proxy names.
    ///
    /// - Returns: false at the client's share of the connections.
    private func takeClient(of request: Request) -> Bool {
        address = server.proxies.client(
            peer: connection.address, forwarded: request.headers.values(of: .forwardedFor))
        client = address.network
        isCarried = server.slots.carries(for: client)
        return isCarried || HealthController.answers(request)
    }

    private func readBody(_ piece: ByteBuffer, _ context: ChannelHandlerContext) {
        guard let destination = incoming?.destination, var request = incoming?.request else { return }
        // Hold the only reference to the body: appending to a shared buffer would copy it for each piece.
        incoming = nil
        var body = request.body
        request.body = ByteBuffer()
        let isTooLarge = body.readableBytes + piece.readableBytes > RequestLimits.body
        if isTooLarge {
            // Refused below.
        } else if body.readableBytes == 0, piece.storageCapacity <= ByteBuffer.shareable {
            body = piece
        } else {
            body.writeImmutableBuffer(piece)
        }
        request.body = body
        incoming = (request, destination)
        if isTooLarge { return refuseBody(.bodyTooLarge, context) }
        count()
        // The client's share of the memory may have no room for a long body.
        if body.readableBytes > ByteBudget.small, server.budget.isSpent(for: client) {
            return refuseBody(.slowClients, context)
        }
        if isWhole { hasBody(context) }
    }

    /// A field of a trailer is checked and ignored.
    private func endBody(_ trailers: HPACKHeaders, _ context: ChannelHandlerContext) {
        isWhole = true
        guard RequestHead.areTrailers(trailers) else { return reset(.protocolError, context) }
        if incoming != nil { hasBody(context) }
    }

    private func hasBody(_ context: ChannelHandlerContext) {
        guard let (request, destination) = incoming else { return }
        incoming = nil
        state.hasBody()
        answer(request, destination, context)
    }

    /// Answers the request without reading the rest of its body.
    private func refuseBody(_ problem: Problem, _ context: ChannelHandlerContext) {
        guard let (request, destination) = incoming else { return }
        incoming = nil
        state.hasBody()
        call = makeCall(request, destination, context)
        finish(.failure(problem), context)
    }

    private func makeCall(
        _ request: Request, _ destination: API.Destination, _ context: ChannelHandlerContext
    ) -> Call {
        Call(
            request, to: destination, address: address, client: client, carrier: self, eventLoop: context.eventLoop)
    }

    private func answer(_ request: Request, _ destination: API.Destination, _ context: ChannelHandlerContext) {
        let call = makeCall(request, destination, context)
        self.call = call
        count()
        if let result = answerInTurn(call) { finish(result, context) }
    }

    /// A stream has one request.
    var recentAccess: RecentAccess? {
        get { nil }
        set {}
    }

    func hasAnswer(_ result: Result<Response, any Error>, to call: Call) {
        // The stream has ended, or the request has its answer already.
        guard let context, self.call === call else { return }
        finish(result, context)
    }

    private func finish(_ result: Result<Response, any Error>, _ context: ChannelHandlerContext) {
        guard let call, !isHeld(result, to: call) else { return }
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
        count()
        server.api.observe(call, response.status)
        let form = form(for: call, isLast: false)
        if !call.isHead, case .stream(let make) = response.departure {
            send(.headers(.init(headers: response.http2Head(form))), nil, context)
            return depart(make(false), context)
        }
        write(response, isHead: call.isHead, form, context)
    }

    /// The problem that replaces this answer, if there is one.
    private func refusal(of response: Response, to call: Call) -> Problem? {
        if let departure = response.departure, !call.isHead {
            // HTTP/2 has no upgrade, and clients open no WebSocket over it that the server does not offer (RFC 8441).
            guard case .stream = departure else { return .upgradeRequired }
            guard isWhole else { return Problem(.invalid(["A request for a stream must not have a body"])) }
            guard !connection.isSpare, server.slots.beginsStream(of: response.tenant) else {
                return Problem(.overloaded)
            }
            tenant = response.tenant
            isLive = true
        }
        // Never refuse the answer to a write that was stored, or to a health check.
        guard response.body.readableBytes > ByteBudget.small, call.request.method == .get,
            case .endpoint(let entry, _) = call.destination, !HealthController.paths.contains(entry.route.path)
        else { return nil }
        return server.budget.isSpent(for: client) ? .slowClients : nil
    }

    /// Answers what has no endpoint, because it is malformed or the server is full.
    private func refuse(_ problem: Problem, _ context: ChannelHandlerContext) {
        server.metrics.refusedConnection(problem.code)
        let requestID = RequestID.random()
        write(
            problem.response(requestID: requestID.description), isHead: false,
            Response.Form(
                requestID: requestID, date: loop.date.value, cors: server.api.corsLines(for: nil), isHTTP10: false,
                isLast: false), context)
    }

    private func write(
        _ response: Response, isHead: Bool, _ form: Response.Form, _ context: ChannelHandlerContext
    ) {
        var body = isHead ? ByteBuffer() : response.body
        let (client, bytes) = (client, body.readableBytes)
        let isCounted = bytes > ByteBudget.small
        if isCounted { server.budget.change(by: bytes, of: client) }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolatedUnsafeUnchecked().whenComplete { _ in
            if isCounted { self.server.budget.change(by: -bytes, of: client) }
            self.hasWritten()
        }
        let head = HTTP2Frame.FramePayload.Headers(headers: response.http2Head(form), endStream: bytes == 0)
        send(.headers(head), bytes == 0 ? written : nil, context)
        // In pieces, so that a slow client's reads show as progress.
        while let piece = body.readSlice(length: min(ServerSentEvents.pieceSize, body.readableBytes)),
            piece.readableBytes > 0
        {
            let isLast = body.readableBytes == 0
            send(.data(.init(data: .byteBuffer(piece), endStream: isLast)), isLast ? written : nil, context)
        }
        context.flush()
    }

    /// The last of the answer is with the client, or the stream has ended.
    private func hasWritten() {
        guard let context, !hasEnded, !isWhole else { return }
        // The rest of a body that is in flight is dropped; of a long one no more is wanted (RFC 9113, 8.1).
        state.linger(now: .now(context))
        connection.schedule()
    }

    private func send(
        _ payload: HTTP2Frame.FramePayload, _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
    ) {
        let written = promise ?? context.eventLoop.makePromise(of: Void.self)
        if unwritten == 0 { unwrittenSince = .now(context) }
        unwritten += 1
        let eventLoop = context.eventLoop
        written.futureResult.assumeIsolatedUnsafeUnchecked().whenComplete { _ in
            self.unwritten -= 1
            self.unwrittenSince = .nanoseconds(Int64(clamping: eventLoop.now.uptimeNanoseconds))
        }
        context.write(wrapOutboundOut(payload), promise: written)
    }

    private func reset(_ code: NIOHTTP2.HTTP2ErrorCode, _ context: ChannelHandlerContext) {
        isReset = true
        context.writeAndFlush(wrapOutboundOut(.rstStream(code)), promise: nil)
    }

    /// Leaves HTTP: the handlers write the body.
    private func depart(_ handlers: [any ChannelHandler], _ context: ChannelHandlerContext) {
        context.flush()
        state.depart()
        do {
            try context.pipeline.syncOperations.addHandlers(handlers, position: .after(self))
            // What was said before they were there.
            if connection.isInputClosed { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
            if connection.isQuiescing { context.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        } catch {
            context.close(promise: nil)  // It is closing already.
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        send(.data(.init(data: .byteBuffer(unwrapOutboundIn(data)))), promise, context)
    }

    /// The end of the sending side is the end of the body.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .output else { return context.close(mode: mode, promise: promise) }
        send(.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true)), promise, context)
        context.flush()
    }

    // MARK: Time and memory

    /// Nil if it has none. A reset waits with other frames while the client does not read the connection at all.
    var deadline: Duration? {
        if isReset { return nil }
        let written = unwritten > 0 ? unwrittenSince + state.limits.write : nil
        guard let phase = state.deadline else { return written }
        return written.map { min($0, phase) } ?? phase
    }

    /// The deadline has passed.
    func isLate() {
        guard let context else { return }
        if state.isLingering { return reset(.noError, context) }
        server.metrics.refusedConnection(ChatError.timedOut.code)
        reset(.cancel, context)
    }

    /// Counts what is held of the body. The short body of a request that is being answered does not count.
    private func count() {
        let inHand = call?.request.body.readableBytes ?? 0
        let bytes = (incoming?.request.body.readableBytes ?? 0) + (inHand > ByteBudget.small ? inHand : 0)
        guard bytes != counted else { return }
        server.budget.change(by: bytes - counted, of: client)
        counted = bytes
    }
}

@available(*, unavailable)
extension HTTP2Stream: Sendable {}
