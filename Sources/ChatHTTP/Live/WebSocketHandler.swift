import ChatCore
import Metrics
import NIOCore
import NIOWebSocket

/// Acts on the decisions of `WebSocketLink` and `SocketSession`. It replaces HTTP in the pipeline; the
/// `HTTPConnection` before it closes a client that does not read.
///
/// A client's memory is bounded: its socket is not read while the client does not read, or while many of its messages
/// are not stored yet.
final class WebSocketHandler: ChannelDuplexHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    /// How long the write of a close frame may take.
    private static let farewell = Duration.seconds(30)
    /// In bytes. Decoded small frames take much more memory than their bytes.
    private static let largestRead = 16 << 10
    /// In bytes. Longer texts are parsed off the event loop, so that they do not delay other connections.
    private static let longestOnLoop = 4 << 10

    let tenant: TenantScope
    /// Nil after the connection is closed.
    private var opening: Opening?
    private let limits: LiveLimits
    private let metrics: LiveMetrics
    private var messages = WebSocketMessages()
    private(set) var link = WebSocketLink()
    var session: SocketSession
    private var readers: [SocketSession.SubscriptionID: SocketReader] = [:]
    let outbox = SocketOutbox()
    private(set) var outlet: SocketOutlet!
    /// Nil after the connection is closed; its sends go on.
    private(set) var context: ChannelHandlerContext?
    private var isReading = false
    private let turns: LoopTurns
    private let owner: LoopTurns.Owner
    /// Whether `takeTurn` will be called.
    private var awaitsTurn = false
    private var hasTurn = false
    /// Frames of one read that wait until `mayReceive`.
    private var frames = CircularBuffer<WebSocketFrame>(initialCapacity: 1)
    private var isReceiving = false
    private let intake: SocketIntake
    /// Bytes of the text that is parsed off the event loop; later frames wait for it.
    private var parsing: Int?
    private var isGoingAway = false
    private var isWatching = false
    /// Bytes of `frames`.
    private var waitingBytes = 0
    /// Answers that are not passed to the socket yet.
    private var answers = ByteBuffer()
    /// Sent first.
    private let greeting: AuthenticatedAnswer?
    /// Of `WebSocketHandler+credentials`.
    var credentials = SocketCredentials()
    var presence = SocketPresence()

    init(
        tenant: TenantScope, opening: Opening, greeting: AuthenticatedAnswer? = nil, limits: LiveLimits,
        metrics: LiveMetrics, intake: SocketIntake, turns: LoopTurns
    ) {
        self.turns = turns
        self.owner = LoopTurns.owner(of: tenant.access, from: intake.client)
        self.greeting = greeting
        self.opening = opening
        self.intake = intake
        self.tenant = tenant
        self.limits = limits
        self.metrics = metrics
        self.session = SocketSession(limits: limits)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        outlet = SocketOutlet(self, eventLoop: context.eventLoop)
        metrics.sockets.increment()
        opening?.whenEnded { [outlet] end in outlet?.close(WebSocketClosure(end)) }
        let options = context.channel.syncOptions
        let buffers = AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 1024, maximum: Self.largestRead)
        // Channels other than sockets lack these options.
        try? options?.setOption(.maxMessagesPerRead, value: 1)
        try? options?.setOption(.recvAllocator, value: buffers)
        if let greeting { write(.text, greeting.text) }
        watchExpiry()
        schedulePing()
        readOn()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        credentials.timers.forEach { $0.cancel() }
        (opening, presence) = (nil, SocketPresence())
        frames = []
        intake.close()
        metrics.sockets.decrement()
        outbox.close()
        perform(session.cancelAll())
        for reader in readers.values { reader.close() }
        readers = [:]
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        link.hear()
        let frame = unwrapInboundIn(data)
        waitingBytes += frame.data.readableBytes
        frames.append(frame)
        receiveFrames()
    }

    private func receiveFrames() {
        guard !isReceiving else { return }
        isReceiving = true
        defer { isReceiving = false }
        while mayReceive, !frames.isEmpty, isItsTurn() {
            let frame = frames.removeFirst()
            waitingBytes -= frame.data.readableBytes
            do throws(WebSocketClosure) {
                let event = try messages.receive(frame)
                // The next incomplete message began after this one.
                if !messages.isUnfinished { intake.restart(now: .now()) }
                if let event { receive(event) }
            } catch {
                close(error)
            }
        }
        count()
    }

    /// Whether the next frame may be received before what other connections have sent.
    private func isItsTurn() -> Bool {
        guard !hasTurn else {
            hasTurn = false
            return true
        }
        awaitsTurn = !turns.isNow(frameOf: self, of: owner)
        return !awaitsTurn
    }

    /// It is the next frame's turn.
    func takeTurn() {
        awaitsTurn = false
        guard context != nil else { return }
        hasTurn = true
        readOn()
        hasTurn = false
    }

    /// Updates the bytes that `intake` counts.
    private func count() {
        guard let context else { return }
        intake.fragments = messages.unfinishedBytes
        intake.whole = waitingBytes + (parsing ?? 0) + session.sendingBytes
        if intake.count(now: context.eventLoop.now) { close(.overloaded) }
        if intake.unfinishedSince != nil, !isWatching { watch(limits.message) }
    }

    /// Closes a client whose message stays incomplete too long.
    private func watch(_ delay: Duration) {
        isWatching = true
        schedule(delay) { handler in
            handler.isWatching = false
            guard var since = handler.intake.unfinishedSince, handler.link.phase == .open else { return }
            let now = NIODeadline.now()
            // The client is not late while the server does not read.
            if !handler.isReading {
                handler.intake.restart(now: now)
                since = now
            }
            let left = since + TimeAmount(handler.limits.message) - now
            if left > .zero { handler.watch(.nanoseconds(left.nanoseconds)) } else { handler.close(.late) }
        }
    }

    private func receive(_ event: WebSocketMessages.Event) {
        switch event {
        case .text where link.phase != .open: break
        case .text(let text) where text.readableBytes > Self.longestOnLoop: parse(text)
        case .text(let text): perform(session.receive(text))
        case .ping(let payload): if link.phase == .open { write(.pong, payload) }
        case .pong: break
        case .close(let code):
            if link.phase == .open, !session.isEnding {
                perform(session.end(.clientsWish(code)))
            } else {
                perform(link.receiveClose(code))
            }
        }
    }

    /// Parses a text off the event loop; later frames wait.
    private func parse(_ text: ByteBuffer) {
        parsing = text.readableBytes
        let bound = NIOLoopBound(self, eventLoop: outlet.eventLoop)
        Task { [eventLoop = outlet.eventLoop] in
            let request = Result { () throws(SocketRefusal) in try SocketRequest(text) }
            eventLoop.execute { bound.value.hasParsed(request) }
        }
    }

    private func hasParsed(_ request: Result<SocketRequest, SocketRefusal>) {
        parsing = nil
        if link.phase == .open { perform(session.receive(request)) }
        if isGoingAway { perform(session.end(.goingAway)) }
        readOn()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flush()
        readOn()
    }

    /// Ignored: HTTP no longer drives reads; this handler does.
    func read(context: ChannelHandlerContext) {}

    private var mayReceive: Bool {
        guard parsing == nil, !awaitsTurn else { return false }
        return link.phase != .open || session.mayReceive && context?.channel.isWritable == true
    }

    func readOn() {
        receiveFrames()
        if answers.readableBytes > 0 { flush() }
        guard !isReading, frames.isEmpty, mayReceive else { return }
        isReading = true
        context?.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        outbox.deliver(to: context)
        tellPresence()
        readOn()
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            context.close(promise: nil)
        case is ChannelShouldQuiesceEvent:
            isGoingAway = true
            if parsing == nil { perform(session.end(.goingAway)) }
            closeSoon()
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // A failed decoder throws again for all further input.
        case _ where link.phase != .open: break
        case let closure as WebSocketClosure: close(closure)
        default: context.close(promise: nil)
        }
    }

    /// Ends the subscriptions that the credentials are not good for any more.
    func keep(_ mayRead: (Chat.Number) -> Bool) { perform(session.keep(mayRead)) }

    func opened(_ id: SocketSession.SubscriptionID, cursor: Cursor) { perform(session.opened(id, cursor: cursor)) }

    func ended(_ id: SocketSession.SubscriptionID, _ end: any Error) {
        readers[id] = nil
        perform(session.ended(id, end))
    }

    func finished(_ sending: SocketSession.Sending, _ outcome: Result<AppendedMessage, any Error>) {
        perform(session.finished(sending, outcome))
        readOn()
    }

    func finished(_ typing: SocketSession.Typing, _ failure: (any Error)?) {
        perform(session.finished(typing, failure))
        readOn()
    }

    func wantsToWrite(_ reader: SocketReader) {
        guard let context else { return }
        outbox.wantsToWrite(reader)
        outbox.deliver(to: context)
    }

    /// Writes frames of a subscription, without a flush.
    func write(_ frames: ByteBuffer) {
        guard link.phase == .open else { return }
        writeAnswers()
        context?.write(wrapOutboundOut(frames), promise: nil)
    }

    /// Writes the answers as one buffer: separate small frames take much more memory than their bytes.
    private func writeAnswers() {
        guard answers.readableBytes > 0 else { return }
        context?.write(wrapOutboundOut(answers), promise: nil)
        answers = ByteBuffer()
    }

    func flush() {
        writeAnswers()
        context?.flush()
    }

    func perform(_ actions: [SocketSession.Action]) {
        for action in actions {
            switch action {
            case .answer(let answer): if link.phase == .open { write(.text, answer.text) }
            case .subscribe(let id, let chat, let start) where context != nil:
                readers[id] = SocketReader(
                    id: id, chat: chat, start: start, tenant: tenant, handler: self, eventLoop: outlet.eventLoop)
            case .subscribe: break
            case .cancel(let id): readers[id]?.cancel()
            case .authenticate(let token, let ref): authenticate(token, ref: ref)
            case .type(let typing): Task { [tenant, outlet] in await typing.run(tenant, outlet!) }
            case .watch(let watching): Task { [tenant, outlet] in await watching.run(tenant, outlet!) }
            case .send(let sending): Task { [tenant, outlet] in await sending.run(tenant, outlet!) }
            case .close(let closure): close(closure)
            case .closeBack(let code): perform(link.receiveClose(code))
            }
        }
        flush()
    }

    private func perform(_ action: WebSocketLink.Action?) {
        switch action {
        case .ping: write(.ping, ByteBuffer())
        case .close(let closure):
            metrics.closed(closure)
            perform(session.cancelAll())
            var payload = ByteBuffer(integer: closure.code.rawValue)
            payload.writeString(closure.reason)
            write(.connectionClose, payload) { handler in
                if closure.isFailure { handler.context?.close(mode: .output, promise: nil) }
                handler.closeSoon()
            }
            // The write may never end, if the client hangs and the socket's buffer is full.
            schedule(Self.farewell) { handler in handler.context?.close(promise: nil) }
            readOn()
        case .closeBack(let code):
            perform(session.cancelAll())
            write(.connectionClose, code.map { ByteBuffer(integer: $0) } ?? ByteBuffer()) { handler in
                handler.context?.close(promise: nil)
            }
        case .disconnect: context?.close(promise: nil)
        case nil: break
        }
        flush()
    }

    func close(_ closure: WebSocketClosure) { perform(link.close(closure)) }

    /// Gives the client a moment to answer the close frame.
    private func closeSoon() {
        schedule(ConnectionState.linger) { handler in
            // While open, answers to sent messages are still awaited.
            if handler.link.phase == .open { handler.closeSoon() } else { handler.context?.close(promise: nil) }
        }
    }

    private func schedulePing() {
        schedule(limits.ping) { handler in
            handler.perform(handler.link.tick(isReading: handler.isReading))
            handler.schedulePing()
        }
    }

    /// Runs `body` unless the connection is closed by then.
    @discardableResult
    func schedule(_ delay: Duration, _ body: @escaping (WebSocketHandler) -> Void) -> Scheduled<Void>? {
        context?.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: TimeAmount(delay)) { [weak self] in
            if let self, self.context != nil { body(self) }
        }
    }

    func write(
        _ opcode: WebSocketOpcode, _ data: ByteBuffer, whenWritten body: ((WebSocketHandler) -> Void)? = nil
    ) {
        guard let context else { return }
        answers.writeFrame(opcode, data)
        guard let body else {
            // Flush, so that the channel's writability shows whether the client reads.
            return answers.readableBytes >= Self.largestRead ? flush() : ()
        }
        let frame = answers
        answers = ByteBuffer()
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolatedUnsafeUnchecked().whenComplete { _ in body(self) }
        context.write(wrapOutboundOut(frame), promise: promise)
    }
}

@available(*, unavailable)
extension WebSocketHandler: Sendable {}
