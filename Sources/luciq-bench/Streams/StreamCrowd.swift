import NIOCore
import NIOPosix

/// All connections of one benchmark, on one event loop.
final class StreamCrowd {
    private static let writers = 32
    /// The most connections that are opening at the same time.
    private static let opening = 64

    private let plan: Streams
    private let eventLoop: any EventLoop
    private let writer: StreamWriter
    private var stalled: [any Channel] = []
    private var toOpen: [(chat: Int, stalls: Bool)] = []
    private var behind: Int
    let tally = StreamTally()
    /// Succeeds when all readers have the awaited message.
    let goal: EventLoopPromise<Void>

    init(_ plan: Streams, eventLoop: any EventLoop) {
        self.plan = plan
        self.eventLoop = eventLoop
        self.writer = StreamWriter(plan, tally: tally)
        self.behind = plan.chats * plan.readers
        self.goal = eventLoop.makePromise()
        toOpen = (0..<plan.chats).flatMap { Array(repeating: ($0 + 1, false), count: plan.readers) }
        toOpen += Array(repeating: (1, true), count: plan.stalled)
    }

    /// Succeeds when all readers are subscribed.
    func open() -> EventLoopFuture<Void> {
        .andAllSucceed((0..<Self.opening).map { _ in openNext() }, on: eventLoop)
    }

    private func openNext() -> EventLoopFuture<Void> {
        guard let (chat, stalls) = toOpen.popLast() else { return eventLoop.makeSucceededVoidFuture() }
        let opened = eventLoop.makePromise(of: Void.self)
        var onMessage: ((Int64) -> Void)?
        if let until = plan.until { onMessage = { [unowned self] number in if number == until { reached() } } }
        let reader = StreamReader(
            plan, chat: chat, tally: tally, opened: opened, stalls: stalls, onMessage: onMessage)
        connect(reader, receiveBuffer: stalls ? 16 << 10 : nil).assumeIsolatedUnsafeUnchecked().whenComplete { result in
            switch result {
            case .success(let channel): if stalls { self.stalled.append(channel) }
            case .failure(let error): opened.fail(error)
            }
        }
        return opened.futureResult.assumeIsolatedUnsafeUnchecked().flatMap { self.openNext() }.nonisolated()
    }

    private func reached() {
        behind -= 1
        if behind == 0 { goal.succeed() }
    }

    /// Succeeds when all messages are written and delivered, or after a time limit.
    func write(_ pace: Pace) -> EventLoopFuture<Void> {
        let connections = (0..<Self.writers).map { _ in connect(writer.makeConnection()).map { _ in } }
        let expected = pace.count * plan.readers
        return EventLoopFuture.andAllSucceed(connections, on: eventLoop)
            .assumeIsolatedUnsafeUnchecked().flatMap {
                self.tally.begin(pace, readers: self.plan.readers, edits: self.plan.edits, at: .monotonic)
                let done = self.eventLoop.makePromise(of: Void.self)
                self.tick(expected, done)
                return done.futureResult
            }.nonisolated()
    }

    /// Every millisecond, until everything is written.
    private func tick(_ expected: Int, _ done: EventLoopPromise<Void>) {
        guard writer.tick() else { return wait(for: expected, until: .now() + .seconds(10), done) }
        eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: .milliseconds(1)) { self.tick(expected, done) }
    }

    private func wait(for expected: Int, until end: NIODeadline, _ done: EventLoopPromise<Void>) {
        if tally.received >= expected || .now() > end { return done.succeed() }
        eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: .milliseconds(10)) {
            self.wait(for: expected, until: end, done)
        }
    }

    /// Closed readers notice it after reading the remaining input. They have some seconds for it.
    func letStalledRead() -> EventLoopFuture<Void> {
        for channel in stalled { channel.setOption(.autoRead, value: true).whenComplete { _ in } }
        return eventLoop.scheduleTask(in: .seconds(2)) {}.futureResult
    }

    private func connect(
        _ handler: any ChannelInboundHandler, receiveBuffer: ChannelOptions.Types.SocketOption.Value? = nil
    ) -> EventLoopFuture<any Channel> {
        let handler = NIOLoopBound(handler, eventLoop: eventLoop)
        var bootstrap = ClientBootstrap(group: eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler.value) }
            }
        if let receiveBuffer { bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: receiveBuffer) }
        return bootstrap.connect(host: "127.0.0.1", port: plan.port)
    }
}

@available(*, unavailable)
extension StreamCrowd: Sendable {}
