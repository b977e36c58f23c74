import NIOCore

/// Sends the load over its connections, all on one event loop, and records the latencies.
final class LoadGenerator: NIOScheduledCallbackHandler {
    private static let warmUp = 1
    /// The least time between two timers. Each wakes the thread, on the server's processors.
    private static let step = TimeAmount.microseconds(100)
    /// How long the generator waits for outstanding answers at the end.
    private static let patience = TimeAmount.seconds(10)

    struct Report: Encodable {
        /// Good answers a second.
        let rate: Double
        /// From a request's due time to its answer. Requests that were not sent or answered count with the time that they
        /// had waited by the end, a lower bound.
        let latency: Latency?
        /// From a request's due time to its sending, if a connection was free: the delay of the generator itself.
        let late: Latency?
        /// Answers other than success, and connections that closed.
        let errors: Int
        /// Requests that were due and found no free connection by the end.
        let unsent: Int
        let unanswered: Int
    }

    private let eventLoop: any EventLoop
    private let seconds: Int
    private let pace: Pace?
    private var connections: [LoadConnection] = []
    private let expected: Int
    private var ready = 0
    private var free = CircularBuffer<LoadConnection>()
    /// The index of the next request to send.
    private var next = 0
    private var start = NIODeadline.distantFuture
    private var isOver = false
    private var isFinished = false
    private var isScheduled = false

    private var latencies: [Int64] = []
    private var lateness: [Int64] = []
    private var good = 0
    private var errors = 0
    let done: EventLoopPromise<Report>

    init(rate: Int?, seconds: Int, connections: Int, on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.seconds = seconds
        expected = connections
        pace = rate.map { Pace(rate: $0, warmUp: Self.warmUp, seconds: seconds) }
        done = eventLoop.makePromise()
        // Enough for any server, because growing the array would delay requests.
        latencies.reserveCapacity(pace?.count ?? 200_000 * seconds)
        lateness.reserveCapacity(pace?.count ?? 0)
    }

    private var counted: NIODeadline { start + .seconds(Int64(Self.warmUp)) }
    private var end: NIODeadline { counted + .seconds(Int64(seconds)) }

    /// - Parameter requests: the connection sends them in turn.
    func makeConnection(_ dialect: Dialect, _ requests: [ByteBuffer], index: Int) -> LoadConnection {
        let connection = LoadConnection(self, dialect, requests, index: index)
        connections.append(connection)
        return connection
    }

    func isReady(_ connection: LoadConnection) {
        free.append(connection)
        ready += 1
        if ready == expected { begin() }
    }

    private func begin() {
        start = eventLoop.now
        let loop = eventLoop.assumeIsolatedUnsafeUnchecked()
        loop.scheduleTask(deadline: end) { self.finishSending() }
        if pace == nil {
            while let connection = free.popFirst() { connection.send(dueAt: start) }
        } else {
            sendDue(at: start, hasWaited: false)
        }
    }

    func handleScheduledCallback(eventLoop: some EventLoop) {
        isScheduled = false
        if !isOver { sendDue(at: self.eventLoop.now, hasWaited: false) }
    }

    /// - Parameter hasWaited: whether requests may have waited for a free connection.
    private func sendDue(at now: NIODeadline, hasWaited: Bool) {
        guard let pace else { return }
        let due = pace.due(by: (now - start).nanoseconds)
        while next < due, let connection = free.popFirst() {
            let dueAt = start + .nanoseconds(pace.moment(of: next))
            if !hasWaited, dueAt >= counted { lateness.append((now - dueAt).nanoseconds) }
            next += 1
            connection.send(dueAt: dueAt)
        }
        // While all connections are busy, the next answer continues.
        guard !isScheduled, !free.isEmpty, due < pace.count else { return }
        isScheduled = true
        let at = max(start + .nanoseconds(pace.moment(of: due)), now + Self.step)
        // Fails only on a loop that was shut down, after the load.
        _ = try? eventLoop.assumeIsolatedUnsafeUnchecked().scheduleCallback(at: at, handler: self)
    }

    func answered(_ connection: LoadConnection, dueAt: NIODeadline, isGood: Bool) {
        let now = eventLoop.now
        if dueAt >= counted { latencies.append((now - dueAt).nanoseconds) }
        if !isGood { errors += 1 } else if counted <= now, now < end { good += 1 }
        if isOver {
            finishIfIdle()
        } else if pace == nil {
            connection.send(dueAt: now)
        } else {
            let hasWaited = free.isEmpty
            free.append(connection)
            sendDue(at: now, hasWaited: hasWaited)
        }
    }

    func broke(_ connection: LoadConnection) {
        guard start != .distantFuture else { return done.fail(LoadFailure()) }
        free.removeAll { $0 === connection }
        errors += 1
        if isOver { finishIfIdle() }
    }

    private func finishSending() {
        // Requests that became due since the last timer.
        sendDue(at: eventLoop.now, hasWaited: false)
        isOver = true
        eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: Self.patience) { self.finish() }
        finishIfIdle()
    }

    private func finishIfIdle() {
        if !connections.contains(where: \.isBusy) { finish() }
    }

    private func finish() {
        guard !isFinished else { return }
        isFinished = true
        let now = eventLoop.now
        let unanswered = connections.compactMap(\.waitingSince).filter { $0 >= counted }
        latencies += unanswered.map { (now - $0).nanoseconds }
        var unsent = 0
        if let pace {
            for index in max(next, pace.uncounted)..<max(pace.count, pace.uncounted) {
                unsent += 1
                latencies.append((end - (start + .nanoseconds(pace.moment(of: index)))).nanoseconds)
            }
        }
        done.succeed(
            Report(
                rate: Double(good) / Double(seconds), latency: Latency(latencies), late: Latency(lateness),
                errors: errors, unsent: unsent, unanswered: unanswered.count))
    }
}

struct LoadFailure: Error, CustomStringConvertible {
    let description = "The server closed a connection before the load began."
}

@available(*, unavailable)
extension LoadGenerator: Sendable {}
