package import Logging
package import Metrics
package import NIOCore
import ServiceLifecycle
import Synchronization

extension ChatError {
    /// The entry was certainly not stored, because another transaction holds its rows. `GroupCommit` tries it again, apart
    /// from the others.
    package static let held = ChatError.unavailable(reason: "Another transaction holds its rows")
}

/// Many requests, one transaction: the heart of the product.
///
/// While a batch is being written the next one gathers. There is no timer: an entry that finds the store idle is
/// written at once, and under load a batch is as large as what came in during the last one. So the cost of a flush
/// to disk is shared by as many requests as there are, and a lone request never waits for company.
///
/// Bounded in every direction by `CommitLimits`: entries and bytes a batch, batches in flight, entries and bytes that
/// wait, in all and of each share, and the time each one waits. Past a bound a request is refused at once, never queued.
///
/// Every entry gets exactly one outcome. Cancelling the task that waits does not take its entry back: once accepted,
/// it is written, or given up on at its deadline.
package final class GroupCommit<Entry: CommitEntry, Outcome: Sendable>: Service {
    /// Writes a batch in one durable transaction: one result an entry in order, or an error for all of them. `.held` is
    /// none: the entry waits on, and is written again. In the time that is given it is to be stored or given up, so that
    /// all that wait for it can still be told which.
    package typealias Write = @Sendable ([Entry], _ within: Duration) async throws -> [Result<Outcome, ChatError>]

    private enum Waiter {
        case task(CheckedContinuation<Result<Outcome, ChatError>, Never>)
        case loop(any EventLoop, Done)
    }

    /// Takes the outcome of an entry.
    package typealias Done = @Sendable (Result<Outcome, ChatError>) -> Void

    private struct State {
        var queue: CommitQueue<Entry>
        var waiters: [CommitQueue<Entry>.Ticket: Waiter] = [:]
        /// Tasks that write batches, and whether one of them is on its way to its first.
        var committers = 0
        var isCommitterStarting = false
        var isWatched = false
        /// Whether somebody sleeps until the batches in flight are not young any more.
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
    ///   - name: what is written, for metrics and logs: `messages`.
    ///   - executor: where batches are written and their outcomes handed out; nil for the shared threads. A store whose
    ///     calls block gives its own, and saves the hop there and back.
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

    /// How many entries were taken in, ever.
    var accepted: UInt64 { state.withLock(\.queue.lastTicket) }

    /// Whether new entries are refused.
    var isClosed: Bool { state.withLock(\.queue.isClosed) }

    /// Waits until the entry is durably stored, refused or given up on.
    ///
    /// - Throws: `.overloaded`, `.shuttingDown`, `.keyInFlight` at once; `.timedOut` or `.outcomeUnknown` at the deadline;
    ///   or what the store answered for this entry.
    package func submit(_ entry: Entry) async throws(ChatError) -> Outcome {
        let result = await withCheckedContinuation { continuation in
            enqueue(entry, .task(continuation)) { continuation.resume(returning: .failure($0)) }
        }
        return try result.get()
    }

    /// The same for a caller that does not wait.
    ///
    /// - Parameters:
    ///   - eventLoop: where the outcome is wanted. All of a batch that one loop wants are handed over together, so that the loop
    ///     is woken once.
    ///   - done: called once, on the event loop; where the entry is refused at once, and this is that loop, before this
    ///     returns.
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
        let now = time.now()
        state.withLock { state in
            do throws(ChatError) {
                let ticket = try state.queue.enqueue(entry, now: now)
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

    /// Hands outcomes to those who wait for them: one wake-up for each event loop.
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
        try? await gracefulShutdown()  // A cancellation ends the wait as well: drain all the same.
        await drain()
    }

    /// Refuses new entries and waits for those that are in.
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

    /// Whether one more writer of batches has something to do. It counts as there from now on.
    private func startsCommitter(_ state: inout State) -> Bool {
        // One more than the ordinary batches, for one of held lanes.
        guard !state.isCommitterStarting, state.committers <= state.queue.limits.batchesInFlight,
            state.queue.mayStartBatch(now: time.now())
        else { return false }
        state.committers += 1
        state.isCommitterStarting = true
        return true
    }

    /// Whether somebody has to wake up when one more batch may start beside those in flight. It counts as seen to.
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
                try? await self.time.sleep(moment)  // Nobody cancels this task.
                if self.state.withLock({ self.startsCommitter(&$0) }) { self.startCommitter() }
                // What may start and did not is about to be taken by a committer on its way.
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
            // Four fifths of what the oldest has left: the last attempt may outlast its time by a statement.
            let results = await outcomes(of: batch.entries, within: (batch.deadline - start) * 0.8)
            metrics.committed(batch.entries.count, in: time.now() - start)
            finish(batch, results)
            // Writers that share an executor take turns.
            await Task.yield()
        }
    }

    /// Takes what waits by now: as late as can be, so that it is as much as can be.
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

    /// Hands out the results.
    private func finish(_ batch: CommitQueue<Entry>.Batch, _ results: [Result<Outcome, ChatError>]) {
        var outcomes: [(Waiter, Result<Outcome, ChatError>)] = []
        outcomes.reserveCapacity(results.count)
        var drained: [CheckedContinuation<Void, Never>] = []
        state.withLock { state in
            state.queue.finish(batch, held: results.indices.filter { results[$0].isHeld })
            for (ticket, result) in zip(batch.tickets, results) where !result.isHeld {
                // None where the deadline has passed and the request has its answer already.
                if let waiter = state.waiters.removeValue(forKey: ticket) { outcomes.append((waiter, result)) }
            }
            if state.queue.isClosed, state.queue.isEmpty { swap(&drained, &state.drained) }
        }
        Self.handOut(outcomes)
        for done in drained { done.resume() }
    }

    /// One sleeper for all deadlines. It ends when nothing waits; the next entry starts it again.
    private func watchDeadlines() async {
        while true {
            let deadline: Duration? = state.withLock { state in
                state.isWatched = state.queue.nextDeadline != nil
                return state.queue.nextDeadline
            }
            guard let deadline else { return }
            try? await time.sleep(deadline)  // Nobody cancels this task.
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
