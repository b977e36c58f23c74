package import Logging
package import Metrics
package import NIOCore
import ServiceLifecycle
import Synchronization

extension ChatError {
    /// The entry was certainly not stored, because another transaction holds its rows. `GroupCommit` retries it
    /// separately from the others.
    package static let held = ChatError.unavailable(reason: "Another transaction holds its rows")
}

/// Many requests, one transaction: the heart of the product.
///
/// While a batch is written, the next one collects entries. There is no timer: if the store is idle, an entry is
/// written at once; under load a batch has all entries that arrived during the last one. So all waiting requests share
/// the cost of a flush to disk, and a single request never waits for others.
///
/// `CommitLimits` bounds the entries and bytes of a batch, the batches in flight, the entries and bytes that wait, in
/// all and of each share, and the time that each one waits. Past a bound a request is refused at once, not queued.
///
/// Every entry gets exactly one outcome. Cancelling the waiting task does not withdraw its entry: an accepted entry is
/// written, or expires at its deadline.
package final class GroupCommit<Entry: CommitEntry, Outcome: Sendable>: Service {
    /// Writes a batch in one durable transaction, and returns one result for each entry in order, or throws an error
    /// for all of them. With `.held` the entry stays in the queue, and is written again. The write must end within the
    /// given time, so that waiting requests get its result before their deadline.
    package typealias Write = @Sendable ([Entry], _ within: Duration) async throws -> [Result<Outcome, ChatError>]

    private enum Waiter {
        case task(CheckedContinuation<Result<Outcome, ChatError>, Never>)
        case loop(any EventLoop, Done)
    }

    /// Receives the outcome of an entry.
    package typealias Done = @Sendable (Result<Outcome, ChatError>) -> Void

    private struct State {
        var queue: CommitQueue<Entry>
        var waiters: [CommitQueue<Entry>.Ticket: Waiter] = [:]
        /// Tasks that write batches, and whether one of them has not started its first batch yet.
        var committers = 0
        var isCommitterStarting = false
        var isWatched = false
        /// Whether a task sleeps until the batches in flight are no longer young.
        var isAwaitingStart = false
        var drained: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Mutex<State>
    private let time: Timekeeper
    private let executor: (any TaskExecutor)?
    private let write: Write
    private let logger: Logger
    private let metrics: CommitMetrics

    /// - Parameters:
    ///   - name: the kind of entries, for metrics: `messages`.
    ///   - executor: runs the writes and returns their outcomes; nil for the shared threads. A store whose calls block
    ///     passes its own, which saves two switches of threads.
    package init(
        name: String,
        limits: CommitLimits = CommitLimits(),
        time: Timekeeper = .continuous,
        executor: (any TaskExecutor)? = nil,
        logger: Logger,
        metrics: any MetricsFactory,
        write: @escaping Write
    ) {
        self.state = Mutex(State(queue: CommitQueue(limits: limits)))
        self.time = time
        self.executor = executor
        self.write = write
        self.logger = logger
        self.metrics = CommitMetrics(name: name, factory: metrics)
    }

    /// How many entries were accepted so far.
    var accepted: UInt64 { state.withLock(\.queue.lastTicket) }

    /// Whether entries wait or are being written.
    var isBusy: Bool { state.withLock { !$0.queue.isEmpty } }

    /// Whether new entries are refused.
    var isClosed: Bool { state.withLock(\.queue.isClosed) }

    /// Waits until the entry is durably stored, refused or expired.
    ///
    /// - Throws: `.overloaded`, `.shuttingDown`, `.keyInFlight` at once; `.timedOut` or `.outcomeUnknown` at the
    ///   deadline; or the store's error for this entry.
    package func submit(_ entry: Entry) async throws(ChatError) -> Outcome {
        let result = await withCheckedContinuation { continuation in
            enqueue(entry, .task(continuation)) { continuation.resume(returning: .failure($0)) }
        }
        return try result.get()
    }

    /// Submits the entry without waiting for its outcome.
    ///
    /// - Parameters:
    ///   - eventLoop: where `done` is called. The outcomes of a batch are handed over together, so that the batch wakes
    ///     each loop once.
    ///   - done: called once, on the event loop. If the entry is refused and the caller is on that loop, `done` is
    ///     called before this returns.
    package func submit(_ entry: Entry, on eventLoop: any EventLoop, _ done: @escaping Done) {
        enqueue(entry, .loop(eventLoop, done)) { refusal in
            if eventLoop.inEventLoop { done(.failure(refusal)) } else { eventLoop.execute { done(.failure(refusal)) } }
        }
    }

    private func enqueue(_ entry: Entry, _ waiter: Waiter, refused: (ChatError) -> Void) {
        var refusal: ChatError?
        var needsCommitter = false
        var needsWatch = false
        var needsWake = false
        state.withLock { state in
            do throws(ChatError) {
                let ticket = try state.queue.enqueue(entry, now: time.now())
                state.waiters[ticket] = waiter
                needsCommitter = startsCommitter(&state)
                needsWake = Self.awaitsStart(&state)
                needsWatch = !state.isWatched
                state.isWatched = true
                metrics.depth.set(state.queue.pendingCount)
            } catch {
                refusal = error
            }
        }
        if let refusal {
            metrics.refused(refusal)
            refused(refusal)
        }
        if needsCommitter { startCommitter() }
        if needsWake { awaitStart() }
        if needsWatch { Task.detached { await self.watchDeadlines() } }
    }

    /// Hands outcomes to their waiters, and wakes each event loop once.
    private static func handOut(_ outcomes: [(Waiter, Result<Outcome, ChatError>)]) {
        var loops: [(loop: any EventLoop, outcomes: [(Done, Result<Outcome, ChatError>)])] = []
        for (waiter, result) in outcomes {
            switch waiter {
            case .task(let continuation): continuation.resume(returning: result)
            case .loop(let loop, let done):
                if let index = loops.firstIndex(where: { $0.loop === loop }) {
                    loops[index].outcomes.append((done, result))
                } else {
                    var first: [(Done, Result<Outcome, ChatError>)] = []
                    first.reserveCapacity(outcomes.count)
                    first.append((done, result))
                    loops.append((loop, first))
                }
            }
        }
        for (loop, outcomes) in loops {
            loop.execute { for (done, result) in outcomes { done(result) } }
        }
    }

    /// Runs until shutdown, then refuses new entries and returns when the last accepted one has its outcome.
    package func run() async throws {
        try? await gracefulShutdown()  // Throws when cancelled: drain as well.
        await drain()
    }

    /// Refuses new entries and waits for the accepted ones.
    package func drain() async {
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            let isDrained = state.withLock { state in
                state.queue.close()
                if !state.queue.isEmpty { state.drained.append(done) }
                return state.queue.isEmpty
            }
            if isDrained { done.resume() }
        }
    }

    /// Whether another committer has something to do; if so, counts it.
    private func startsCommitter(_ state: inout State) -> Bool {
        // One more than ordinary batches, for the batch of held lanes.
        guard !state.isCommitterStarting, state.committers <= state.queue.limits.batchesInFlight,
            state.queue.mayStartBatch(now: time.now())
        else { return false }
        state.committers += 1
        state.isCommitterStarting = true
        return true
    }

    /// Whether a task must sleep until another batch may start beside those in flight; if so, notes that it does.
    private static func awaitsStart(_ state: inout State) -> Bool {
        guard !state.isAwaitingStart, state.queue.nextStart != nil else { return false }
        state.isAwaitingStart = true
        return true
    }

    private func awaitStart() {
        Task.detached {
            while true {
                let moment = self.state.withLock { state in
                    state.isAwaitingStart = state.queue.nextStart != nil
                    return state.queue.nextStart
                }
                guard let moment else { return }
                try? await self.time.sleep(moment)  // This task is never cancelled.
                if self.state.withLock({ self.startsCommitter(&$0) }) { self.startCommitter() }
                // If a batch may start but none was started here, a starting committer will take it.
                await Task.yield()
            }
        }
    }

    private func startCommitter() { Task.detached(executorPreference: executor) { await self.commit() } }

    /// Writes batches until none may start.
    private func commit() async {
        while true {
            guard let batch = startBatch() else { return }
            let start = time.now()
            // Four fifths of the oldest entry's remaining time: the last attempt may take one statement longer.
            let results = await outcomes(of: batch.entries, within: (batch.deadline - start) * 0.8)
            metrics.committed(batch.entries.count, in: time.now() - start)
            finish(batch, results)
            // Writers that share an executor take turns.
            await Task.yield()
        }
    }

    /// Takes the waiting entries as late as possible, so that the batch is as large as possible.
    private func startBatch() -> CommitQueue<Entry>.Batch? {
        let (batch, needsAnother, needsWake) = state.withLock { state in
            state.isCommitterStarting = false
            let batch = state.queue.startBatch(now: time.now())
            if batch == nil { state.committers -= 1 }
            metrics.depth.set(state.queue.pendingCount)
            return (batch, batch != nil && startsCommitter(&state), Self.awaitsStart(&state))
        }
        if needsAnother { startCommitter() }
        if needsWake { awaitStart() }
        return batch
    }

    private func outcomes(of entries: [Entry], within time: Duration) async -> [Result<Outcome, ChatError>] {
        do {
            let results = try await write(entries, time)
            precondition(results.count == entries.count, "the store owes one result an entry")
            return results
        } catch {
            logger.error(
                "A batch could not be stored",
                metadata: ["entries": "\(entries.count)", "error": ChatError.forLog(error)])
            let failure = ChatError(store: error)
            return entries.map { _ in .failure(failure) }
        }
    }

    /// Resumes the waiting requests with their results.
    private func finish(_ batch: CommitQueue<Entry>.Batch, _ results: [Result<Outcome, ChatError>]) {
        var outcomes: [(Waiter, Result<Outcome, ChatError>)] = []
        outcomes.reserveCapacity(results.count)
        var drained: [CheckedContinuation<Void, Never>] = []
        state.withLock { state in
            state.queue.finish(batch, held: results.indices.filter { results[$0].isHeld })
            for (ticket, result) in zip(batch.tickets, results) where !result.isHeld {
                // None if the deadline has passed: the request has its answer already.
                if let waiter = state.waiters.removeValue(forKey: ticket) { outcomes.append((waiter, result)) }
            }
            if state.queue.isClosed, state.queue.isEmpty { swap(&drained, &state.drained) }
        }
        Self.handOut(outcomes)
        for done in drained { done.resume() }
    }

    /// Watches all deadlines in one task. It ends when nothing waits; the next entry starts it again.
    private func watchDeadlines() async {
        while true {
            let deadline: Duration? = state.withLock { state in
                state.isWatched = state.queue.nextDeadline != nil
                return state.queue.nextDeadline
            }
            guard let deadline else { return }
            try? await time.sleep(deadline)  // This task is never cancelled.
            expire()
        }
    }

    private func expire() {
        var late: [(Waiter, ChatError)] = []
        var drained: [CheckedContinuation<Void, Never>] = []
        state.withLock { state in
            let (unsent, unsure) = state.queue.expire(now: time.now())
            for ticket in unsent { late.append((state.waiters.removeValue(forKey: ticket)!, .timedOut)) }
            for ticket in unsure { late.append((state.waiters.removeValue(forKey: ticket)!, .outcomeUnknown)) }
            metrics.depth.set(state.queue.pendingCount)
            if state.queue.isClosed, state.queue.isEmpty { swap(&drained, &state.drained) }
        }
        for (_, error) in late { metrics.refused(error) }
        Self.handOut(late.map { ($0, .failure($1)) })
        for done in drained { done.resume() }
    }
}

extension Result where Failure == ChatError {
    fileprivate var isHeld: Bool { if case .failure(.held) = self { true } else { false } }
}
