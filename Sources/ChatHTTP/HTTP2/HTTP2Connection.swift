import ChatCore
import NIOCore
import NIOHTTP2

/// What the streams of an HTTP/2 connection share: their slots and time-outs, and the connection's end. It stands behind
/// `NIOHTTP2Handler`; the `HTTPConnection` before that has the socket.
///
/// Each stream counts as a connection of its own (`ConnectionSlots`), so that a client holds no more by one connection
/// than by many.
final class HTTP2Connection: ChannelDuplexHandler {
    typealias InboundIn = HTTP2Frame
    typealias OutboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    let base: HTTPConnection
    private let gate: HTTP2Gate
    private let slot: ConnectionSlots.Slot
    private var context: ChannelHandlerContext?
    private var streams: [ObjectIdentifier: HTTP2Stream] = [:]
    /// Streams for which there was room.
    private var admitted = 0
    /// Of the stream that was opened last.
    private var lastID = HTTP2StreamID.rootStream
    private var idleSince = Duration.zero
    private var timer: Scheduled<Void>?
    /// Whether it takes no other streams, and closes after the last.
    private(set) var isEnding = false
    private(set) var isQuiescing = false
    private(set) var isInputClosed = false
    private var isReadHeld = false
    /// Bytes of incomplete frames that the budget counts.
    private var counted = 0

    init(_ base: HTTPConnection, _ gate: HTTP2Gate, _ slot: ConnectionSlots.Slot) {
        self.base = base
        self.gate = gate
        self.slot = slot
    }

    private var server: HTTPServer.Shared { base.server }

    var client: IPAddress { base.client }
    var address: IPAddress { base.address }
    var isProxied: Bool { slot.isProxied }

    /// Whether it has one answer only (`ConnectionSlots`).
    var isSpare: Bool { slot.isSpare }

    var localPort: Int? { context?.channel.localAddress?.port }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        idleSince = .now(context)
        schedule()
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        count(0)
        context.fireChannelInactive()
    }

    /// Frames of the connection itself, which `NIOHTTP2Handler` has acted on.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func channelReadComplete(context: ChannelHandlerContext) {
        let bytes = gate.watch.heldBytes
        let isMore = bytes > counted
        count(bytes)
        if isMore, bytes > ByteBudget.small, server.budget.isSpent(for: client) {
            fail(.enhanceYourCalm, ChatError.overloaded.code)
        }
        context.fireChannelReadComplete()
    }

    /// Backpressure: a client that does not read gets no answers that it could wait for.
    func read(context: ChannelHandlerContext) {
        isReadHeld = !context.channel.isWritable
        if !isReadHeld { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if isReadHeld { read(context: context) }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            isInputClosed = true
            isEnding = true
            for stream in streams.values { stream.inputClosed() }
            endIfIdle()
        case is ChannelShouldQuiesceEvent:
            isQuiescing = true
            for stream in streams.values { stream.quiesce() }
            end()
        case is ConnectionSlots.MakeRoom: if streams.isEmpty { close() }
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case is HTTP2Gate.TooManyFrames: fail(.enhanceYourCalm, Problem.notHTTP.code)
        // `NIOHTTP2Handler` has said why.
        case _ where gate.hasFailed: fail(nil, Problem.notHTTP.code)
        // It has reset the stream.
        case is any NIOHTTP2Error: break
        default: context.close(promise: nil)
        }
    }

    // MARK: Streams

    /// - Returns: false if there is no room for the stream.
    func opened(_ stream: HTTP2Stream, _ id: HTTP2StreamID?) -> Bool {
        if let id { lastID = max(lastID, id) }
        if streams.isEmpty { slot.isBusy() }
        streams[ObjectIdentifier(stream)] = stream
        // One has the connection's slot.
        guard admitted == 0 || server.slots.enterStream(of: slot) else { return false }
        admitted += 1
        return true
    }

    /// - Parameter wasAdmitted: whether there was room for it.
    func closed(_ stream: HTTP2Stream, wasAdmitted: Bool) {
        guard streams.removeValue(forKey: ObjectIdentifier(stream)) != nil else { return }
        if wasAdmitted {
            admitted -= 1
            if admitted > 0 { server.slots.leaveStream(of: slot) }
        }
        guard let context else { return }
        if streams.isEmpty {
            idleSince = .now(context)
            slot.idles(since: context.eventLoop.now)
        }
        if isSpare { end() }
        endIfIdle()
    }

    // MARK: The end

    /// Takes no other streams, and closes after the last. The client repeats what it has sent in the meantime.
    private func end() {
        guard !isEnding, let context else { return endIfIdle() }
        isEnding = true
        goAway(.noError, context)
        endIfIdle()
    }

    private func endIfIdle() {
        guard isEnding, streams.isEmpty, let context else { return }
        // After the current frames: the last one may not have been flushed.
        let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute {
            if connection.value.context != nil { connection.value.linger() }
        }
    }

    private func linger() {
        gate.flushNow()
        base.lingerAfterHTTP2()
    }

    /// Closes a connection without streams.
    private func close() {
        guard let context else { return }
        if !isEnding { goAway(.noError, context) }
        isEnding = true
        context.close(promise: nil)
    }

    /// Ends the connection with all its streams.
    ///
    /// - Parameter code: nil if the client has been told.
    private func fail(_ code: HTTP2ErrorCode?, _ metric: String) {
        guard let context, !base.state.isLingering else { return }
        isEnding = true
        server.metrics.refusedConnection(metric)
        if let code { goAway(code, context) }
        for stream in streams.values { stream.leave() }
        linger()
    }

    private func goAway(_ code: HTTP2ErrorCode, _ context: ChannelHandlerContext) {
        let payload = HTTP2Frame.FramePayload.goAway(lastStreamID: lastID, errorCode: code, opaqueData: nil)
        context.writeAndFlush(wrapOutboundOut(HTTP2Frame(streamID: .rootStream, payload: payload)), promise: nil)
    }

    private func count(_ bytes: Int) {
        guard bytes != counted else { return }
        server.budget.change(by: bytes - counted, of: client)
        counted = bytes
    }

    // MARK: Time

    private var deadline: Duration? {
        let limits = server.limits
        var deadlines = streams.values.compactMap(\.deadline)
        if streams.isEmpty { deadlines.append(idleSince + limits.idle) }
        if let since = gate.watch.headSince { deadlines.append(since + limits.idle) }
        return deadlines.min()
    }

    /// One timer a connection. It fires at the next deadline, or after the shortest time-out to look for new ones, so that
    /// a request does not have to reset it.
    func schedule() {
        guard let context else { return }
        timer?.cancel()
        let limits = server.limits
        let shortest = min(limits.idle, limits.body, limits.write)
        let delay = deadline.map { min(max($0 - .now(context), .zero), shortest) } ?? shortest
        timer = context.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: TimeAmount(delay)) {
            self.checkTime()
        }
    }

    private func checkTime() {
        guard let context, !base.state.isLingering else { return }
        let now = Duration.now(context)
        for stream in streams.values where stream.deadline.map({ $0 <= now }) ?? false { stream.isLate() }
        if streams.isEmpty, idleSince + server.limits.idle <= now {
            server.metrics.refusedConnection(ChatError.timedOut.code)
            return close()
        }
        if let since = gate.watch.headSince, since + server.limits.idle <= now {
            return fail(.enhanceYourCalm, ChatError.timedOut.code)
        }
        schedule()
    }
}

@available(*, unavailable)
extension HTTP2Connection: Sendable {}
