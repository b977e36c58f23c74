import NIOCore

/// Who may write to a socket when. Lives on the connection's event loop.
///
/// A subscription takes its messages only when it has one of a few turns, so that a client that reads slowly has a few
/// pages of them waiting here, however many chats it reads; and it writes the next piece when the last ones have left.
final class SocketOutbox {
    private static let turns = 4

    private let eventLoop: any EventLoop
    private var isWritable = true
    private var isClosed = false
    private var freeTurns = turns
    private var line = CircularBuffer<EventLoopPromise<Void>>()
    private var writers: [EventLoopPromise<Void>] = []

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// `endTurn` must follow where it succeeds. It fails when the connection is closed.
    func takeTurn() -> EventLoopFuture<Void> {
        if isClosed { return eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel) }
        let promise = eventLoop.makePromise(of: Void.self)
        line.append(promise)
        giveTurns()
        return promise.futureResult
    }

    func endTurn() {
        freeTurns += 1
        giveTurns()
    }

    /// Succeeds when more may be written; fails when the connection is closed.
    func waitUntilWritable() -> EventLoopFuture<Void> {
        if isClosed { return eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel) }
        if isWritable { return eventLoop.makeSucceededVoidFuture() }
        let promise = eventLoop.makePromise(of: Void.self)
        writers.append(promise)
        return promise.futureResult
    }

    func setWritable(_ isWritable: Bool) {
        self.isWritable = isWritable
        guard isWritable else { return }
        let writers = writers
        self.writers = []
        for writer in writers { writer.succeed() }
        giveTurns()
    }

    func close() {
        isClosed = true
        let waiting = writers + line
        (writers, line) = ([], [])
        for promise in waiting { promise.fail(ChannelError.ioOnClosedChannel) }
    }

    private func giveTurns() {
        while isWritable, freeTurns > 0, let next = line.popFirst() {
            freeTurns -= 1
            next.succeed()
        }
    }
}

@available(*, unavailable)
extension SocketOutbox: Sendable {}
