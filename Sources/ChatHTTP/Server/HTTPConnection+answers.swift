import ChatCore
import HTTPTypes
import NIOCore

/// Writes answers, and ends connections.
extension HTTPConnection {
    /// A body of at most this many bytes is written in one buffer with its head.
    private static let smallBody = 4 << 10

    /// Writes the answer to the current request.
    func finish(_ result: Result<Response, any Error>, _ context: ChannelHandlerContext) {
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
        server.api.observe(call, response.status)
        let request = call.request
        let isLast = state.isLastAnswer || response.closesConnection
        write(response, isHead: call.isHead, form(for: call, isLast: isLast), context)
        if request.method != .head, let departure = response.departure {
            return depart(departure, isChunked: !request.isHTTP10, context)
        }
        switch state.answered(
            isLast: isLast || response.departure != nil, isWhole: bodyReader == nil, now: .now(context))
        {
        case .request: if state.isIdle { idle(context) }
        case .linger: linger(context)
        }
    }

    /// The problem that replaces this answer, if there is one.
    private func refusal(of response: Response, to call: Call) -> Problem? {
        if let departure = response.departure, !call.isHead {
            switch departure {
            case .upgrade: if !call.request.offersUpgrade { return .upgradeRequired }
            // After the stream takes over, nothing could tell the rest of the body from other input.
            case .stream:
                if bodyReader != nil { return Problem(.invalid(["A request for a stream must not have a body"])) }
            }
            if let slot, !server.slots.becomesStream(slot, of: response.tenant) { return Problem(.overloaded) }
        }
        // Never refuse the answer to a write that was stored, or to a health check.
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

    func flush(_ context: ChannelHandlerContext) {
        needsFlush = false
        context.flush()
    }

    /// Counts a large answer until the kernel has all of it. Small answers need no count: the channel's high-water mark
    /// bounds them.
    private func countAnswer(_ bytes: Int, _ context: ChannelHandlerContext) -> EventLoopPromise<Void> {
        let written = context.eventLoop.makePromise(of: Void.self)
        let client = client
        server.budget.change(by: bytes, of: client)
        written.futureResult.assumeIsolatedUnsafeUnchecked().whenComplete { _ in
            self.server.budget.change(by: -bytes, of: client)
        }
        return written
    }

    /// Received bytes of heads and bodies. The short body of a request that is being answered does not count.
    var heldBytes: Int {
        if state.hasDeparted { return 0 }
        let inHand = call?.request.body.readableBytes ?? 0
        return inbound.readableBytes + (incoming?.request.body.readableBytes ?? 0)
            + (inHand > ByteBudget.small ? inHand : 0)
    }

    /// Updates the count of received bytes, and refuses a head for which the budget has no room.
    func countInbound(_ context: ChannelHandlerContext) {
        let bytes = heldBytes
        let isMore = bytes > counted
        count(bytes)
        guard isMore, state.isIdle, inbound.readableBytes > ByteBudget.small, server.budget.isSpent(for: client),
            context.channel.isWritable
        else { return }
        refuse(.slowClients, context)
    }

    /// Takes the client that a trusted proxy names: what the connection holds counts for that one from now on.
    ///
    /// - Throws: `Problem.crowded` at the client's share of the connections.
    func takeClient(
        of request: Request, _ slot: ConnectionSlots.Slot, _ context: ChannelHandlerContext
    ) throws(Problem) {
        address = server.proxies.client(
            peer: IPAddress(context.channel.remoteAddress), forwarded: request.headers.values(of: .forwardedFor))
        if client != address.network {
            let held = counted
            count(0)
            client = address.network
            count(held)
        }
        // The one before, if its body was not read to the end.
        endCarrying()
        if slot.isSpare { return }
        if server.slots.carries(for: client) {
            carried = client
        } else if !HealthController.answers(request) {
            throw .crowded
        }
    }

    func endCarrying() {
        if let carried { server.slots.carried(for: carried) }
        carried = nil
    }

    /// The connection waits for the next request.
    func idle(_ context: ChannelHandlerContext) {
        guard let slot else { return }
        endCarrying()
        slot.idles(since: context.eventLoop.now)
    }

    func count(_ bytes: Int) {
        guard bytes != counted else { return }
        server.budget.change(by: bytes - counted, of: client)
        counted = bytes
    }

    /// Answers input that is malformed or refused, and reads no more requests.
    func refuse(_ problem: Problem, _ context: ChannelHandlerContext) {
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

    func linger(_ context: ChannelHandlerContext) {
        state.linger(now: .now(context))
        inbound = ByteBuffer()
        incoming = nil
        context.flush()
        needsFlush = false
        context.close(mode: .output, promise: nil)
        schedule(context)
        if isReadHeld { read(context: context) }
    }

    /// Closes a connection that owes no answer. Buffered bytes of the last answer are still sent.
    func endQuietly(_ context: ChannelHandlerContext) {
        if state.isLingering { return }
        guard needsFlush || bufferedBytes(context) > 0 else { return context.close(promise: nil) }
        linger(context)
    }

    private func bufferedBytes(_ context: ChannelHandlerContext) -> Int {
        (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// Leaves HTTP: the departure's handlers take over the connection. This handler stays, to enforce the write
    /// time-out and to count the connection.
    private func depart(_ departure: Response.Departure, isChunked: Bool, _ context: ChannelHandlerContext) {
        needsFlush = false
        context.flush()
        state.depart()
        schedule(context)
        count(0)
        let handlers: [any ChannelHandler] =
            switch departure {
            case .stream(let make): make(isChunked)
            case .upgrade(let make): make(StreamPlace(slot: slot, slots: server.slots, turns: loop.turns))
            }
        let rest = inbound
        inbound = ByteBuffer()
        // This handler lives as long as the stream: free the parser's memory.
        parser = RequestParser()
        do {
            try context.pipeline.syncOperations.addHandlers(handlers, position: .after(self))
            if rest.readableBytes > 0 {
                context.fireChannelRead(wrapInboundOut(rest))
                context.fireChannelReadComplete()
            }
            // What was said before they were there.
            if isInputClosed { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
            if state.isQuiescing { context.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        } catch {
            context.close(promise: nil)  // It is closing already.
        }
    }
}
