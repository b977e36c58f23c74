import Synchronization

/// Limits concurrent searches; tenants and clients take turns (`ScanLine`).
///
/// Each search has a thread of its own, of low priority, so that it takes processor time from nothing else here. What it
/// costs a database's server is bounded by a rest: while messages are being written, a tenant's next turn comes after
/// three times what its last one took. The queue and the wait in it are bounded, too.
package final class ScanGate: Sendable {
    /// Whether this task has a turn: what a search costs must be a part of it.
    @TaskLocal static var isInTurn = false

    private typealias Waiter = CheckedContinuation<ScanLine.Outcome, Never>

    private struct State {
        var line: ScanLine
        var waiters: [ScanLine.Ticket: Waiter] = [:]
        /// Executors without a search.
        var idle: [any TaskExecutor]
    }

    /// The rest after a turn, in times of what that took. A quick search costs more than its time: the shortest rest
    /// counts for that.
    private static let rest = 3
    private static let shortestRest = Duration.milliseconds(5)
    private static let longestRest = SearchWalk.deadline

    private let state: Mutex<State>
    private let patience: Duration
    private let time: Timekeeper
    private let isWriting: @Sendable () -> Bool

    /// - Parameters:
    ///   - executors: where searches run, one at a time on each.
    ///   - bound: the most searches that wait, of all tenants.
    ///   - patience: how long each one waits. The default is the longest search of the tenant and the rest after it.
    ///   - isWriting: whether messages are being written.
    init(
        executors: [any TaskExecutor], bound: Int = 64, patience: Duration = SearchWalk.deadline + longestRest,
        time: Timekeeper = .continuous, isWriting: @escaping @Sendable () -> Bool = { false }
    ) {
        self.state = Mutex(State(line: ScanLine(places: executors.count, bound: bound), idle: executors))
        self.patience = patience
        self.time = time
        self.isWriting = isWriting
    }

    /// Searches that wait.
    package var waiting: Int { state.withLock(\.line.waiting) }

    /// Waits for a turn of the tenant, and runs `body`, which may block its thread.
    ///
    /// - Throws: `ChatError.overloaded` if the queue is full or the turn did not come in time; `CancellationError`; the
    ///   error of `body`.
    package func pass<Result: Sendable>(
        _ tenant: Tenant.ID, from client: IPAddress, _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        let ticket = state.withLock { $0.line.ticket() }
        switch await enter(ticket, tenant, client) {
        case .goes: break
        case .refused: throw ChatError.overloaded
        case .cancelled: throw CancellationError()
        }
        let executor = state.withLock { $0.idle.removeLast() }
        let start = time.now()
        defer { leave(ticket, tenant, executor, after: time.now() - start) }
        return try await Self.$isInTurn.withValue(true) {
            try await withTaskExecutorPreference(executor) { try await body() }
        }
    }

    private func enter(
        _ ticket: ScanLine.Ticket, _ tenant: Tenant.ID, _ client: IPAddress
    ) async -> ScanLine.Outcome {
        let timer = Task { [time, patience] in
            try await time.sleep(time.now() + patience)
            act { $0.give(up: ticket, .refused) }
        }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                act(keeping: waiter, of: ticket) {
                    Task.isCancelled ? [(ticket, .cancelled)] : $0.enter(ticket, tenant, client)
                }
            }
        } onCancel: {
            act { $0.give(up: ticket, .cancelled) }
        }
    }

    private func leave(
        _ ticket: ScanLine.Ticket, _ tenant: Tenant.ID, _ executor: any TaskExecutor, after took: Duration
    ) {
        state.withLock { $0.idle.append(executor) }
        let rests = isWriting()
        act { $0.leave(ticket, rests: rests) }
        guard rests else { return }
        Task { [time] in
            let rest = max(Self.shortestRest, min(took * Self.rest, Self.longestRest))
            try? await time.sleep(time.now() + rest)  // This task is never cancelled.
            act { $0.wake(tenant) }
        }
    }

    /// Changes the state, and resumes the affected searches.
    private func act(
        keeping waiter: Waiter? = nil, of ticket: ScanLine.Ticket = 0,
        _ decide: (inout ScanLine) -> [ScanLine.Decision]
    ) {
        let told = state.withLock { state in
            if let waiter { state.waiters[ticket] = waiter }
            return decide(&state.line).map { (state.waiters.removeValue(forKey: $0.ticket), $0.outcome) }
        }
        for (waiter, outcome) in told { waiter?.resume(returning: outcome) }
    }
}
