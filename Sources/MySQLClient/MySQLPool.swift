package import Logging
import ServiceLifecycle
import Synchronization

/// A bounded number of connections, lent in the order of the requests.
///
/// Connections are opened on demand and stay open. A broken one is replaced. While the server is down, callers get
/// `.cannotConnect` at once; the pool makes one attempt to connect at a time, with backoff up to a second. Connections,
/// waiting callers and the time that each one waits are bounded.
///
/// Pools that share a `PrimaryWatch` follow a switch-over together. A pool leaves a server that answers a write with
/// "read-only", and a Galera node that is not ready. A pool for writes also leaves a server that reports read-only; the
/// other pools leave servers other than the one that takes the writes.
package final class MySQLPool: Service {
    private typealias Waiter = CheckedContinuation<MySQLConnection, any Error>
    private typealias Decisions = MySQLPoolState<MySQLConnection, Waiter>

    private struct State {
        var decisions: Decisions
        var lastTicket: Decisions.Ticket = 0
        var drained: [CheckedContinuation<Void, Never>] = []
        /// The last `PrimaryWatch.move` that the state knows of.
        var move: UInt64 = 0
    }

    private let configuration: MySQLConfiguration
    private let acquireTimeout: Duration
    private let watch: PrimaryWatch
    private let writes: Bool
    private let logger: Logger
    private let state: Mutex<State>
    private let start = ContinuousClock.now

    /// Opens no connection yet.
    ///
    /// - Parameters:
    ///   - size: the most connections.
    ///   - waiting: the most callers that wait for one; the next is refused with `.poolExhausted`.
    ///   - acquireTimeout: how long each one waits before `.poolExhausted`.
    ///   - maxAge: of a connection; nil for a minute.
    ///   - watch: shared by the pools of a process; nil for a separate pool.
    ///   - writes: whether a connection to a read-only server is useless: then callers get `.readOnly`.
    package convenience init(
        _ configuration: MySQLConfiguration, size: Int, waiting: Int = 1024, acquireTimeout: Duration = .seconds(5),
        maxAge: Duration? = nil, watch: PrimaryWatch? = nil, writes: Bool = false, logger: Logger
    ) {
        var limits = MySQLPoolLimits(size: size, waiting: waiting)
        if let maxAge { limits.maxAge = maxAge }
        self.init(
            configuration, limits: limits, acquireTimeout: acquireTimeout, watch: watch, writes: writes,
            logger: logger)
    }

    init(
        _ configuration: MySQLConfiguration, limits: MySQLPoolLimits, acquireTimeout: Duration,
        watch: PrimaryWatch? = nil, writes: Bool = false, logger: Logger
    ) {
        self.configuration = configuration
        self.acquireTimeout = acquireTimeout
        self.watch = watch ?? PrimaryWatch(logger: logger)
        self.writes = writes
        self.logger = logger
        state = Mutex(State(decisions: MySQLPoolState(limits: limits)))
    }

    /// Like `PrimaryWatch.epoch`.
    package var epoch: UInt64 { watch.epoch }
    /// Connections that are open or being opened.
    package var open: Int { state.withLock(\.decisions.open) }
    /// Lent connections.
    package var inUse: Int { state.withLock(\.decisions.lentCount) }
    /// Idle connections.
    package var idle: Int { state.withLock(\.decisions.idleCount) }
    /// Waiting callers.
    package var waiting: Int { state.withLock(\.decisions.waitingCount) }

    /// Borrows a connection, runs the body on its thread, and gives it back.
    ///
    /// A connection that broke, or comes back inside a transaction, is closed. Cancelling the task ends the wait, but
    /// not the body.
    ///
    /// - Parameter timeout: how long to wait for a connection; nil for the pool's own.
    /// - Throws: before the body: `MySQLError` (`.poolExhausted`, `.cannotConnect` and similar, `.closed`) or
    ///   `CancellationError`; then the body's errors.
    package func withConnection<T: Sendable>(
        timeout: Duration? = nil, _ body: @Sendable (isolated MySQLConnection) throws -> T
    ) async throws -> T {
        let connection = try await borrow(timeout ?? acquireTimeout)
        let (result, isReusable, isRefused) = await connection.serve(body)
        act { decisions, now in
            var actions: [Decisions.Action] = []
            if isRefused, let server = decisions.server(of: connection) {
                actions += decisions.leave(server, now: now)
            }
            return actions + decisions.returned(connection, isReusable: isReusable && !isRefused, now: now)
        }
        return try result.get()
    }

    /// Checks on a connection of the pool whether the server can do the pool's work; for a pool of writes, whether it
    /// accepts writes. Leaves a server that cannot.
    ///
    /// - Throws: `.readOnly`; the errors of `withConnection`.
    package func check(within timeout: Duration) async throws(MySQLError) {
        do {
            try await withConnection(timeout: timeout) { [watch, writes] connection in
                let facts = try connection.currentFacts()
                if let refusal = watch.admit(facts, before: connection.facts.server, writes: writes) {
                    connection.leave()
                    throw refusal
                }
            }
        } catch let error as MySQLError {
            throw error
        } catch {
            throw MySQLError(.closed, "Nobody waits for the check any more")
        }
    }

    /// Keeps idle connections alive until shutdown, then closes the pool.
    package func run() async throws {
        // A cancellation is a shutdown as well: close.
        try? await cancelWhenGracefulShutdown {
            while true {
                try await Task.sleep(for: .seconds(10))
                self.act { $0.sweep(now: $1) }
            }
        }
        await close()
    }

    /// Refuses callers from now on, closes idle connections, and returns when lent ones have come back and are closed.
    /// May be called again.
    package func close() async {
        act { decisions, _ in decisions.close() }
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            let isDrained = state.withLock { state in
                if !state.decisions.isDrained { state.drained.append(done) }
                return state.decisions.isDrained
            }
            if isDrained { done.resume() }
        }
    }

    private func borrow(_ timeout: Duration) async throws -> MySQLConnection {
        let ticket = state.withLock { state in
            state.lastTicket += 1
            return state.lastTicket
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { waiter in
                act { $0.acquire(waiter, ticket: ticket, deadline: $1 + timeout, now: $1) }
                // The cancellation handler may have run before the waiter was queued.
                if Task.isCancelled { cancel(ticket) }
            }
        } onCancel: {
            cancel(ticket)
        }
    }

    private func cancel(_ ticket: Decisions.Ticket) {
        state.withLock { $0.decisions.cancel(ticket) }?.resume(throwing: CancellationError())
    }

    /// Changes the state, and acts on its decisions.
    private func act(_ decide: (inout Decisions, _ now: Duration) -> [Decisions.Action]) {
        var drained: [CheckedContinuation<Void, Never>] = []
        let (actions, moment) = state.withLock { state in
            let now = now()
            var actions: [Decisions.Action] = []
            if watch.move != state.move {
                state.move = watch.move
                actions += state.decisions.follow(watch.primary, now: now)
            }
            actions += decide(&state.decisions, now)
            if writes, state.decisions.open == 0 { watch.lose() }
            if state.decisions.isDrained { swap(&drained, &state.drained) }
            return (actions, state.decisions.schedule())
        }
        for action in actions {
            switch action {
            case .lend(let connection, let waiter): waiter.resume(returning: connection)
            case .refuse(let waiter, let error): waiter.resume(throwing: error)
            case .open: Task.detached { await self.openConnection() }
            case .check(let connection): Task.detached { await self.check(connection) }
            case .close(let connection): Task.detached { await self.close(connection) }
            }
        }
        if let moment { wake(at: moment) }
        for done in drained { done.resume() }
    }

    private func wake(at moment: Duration) {
        Task.detached { [weak self, start] in
            try? await Task.sleep(until: start + moment)  // This task is never cancelled.
            self?.act { $0.wake(moment, now: $1) }
        }
    }

    private func openConnection() async {
        let wasFailing = state.withLock(\.decisions.isFailing)
        do throws(MySQLError) {
            let connection = try await MySQLConnection.connect(configuration)
            let facts = connection.facts
            if let refusal = watch.admit(facts, before: nil, writes: writes) {
                await connection.close()
                throw refusal
            }
            if wasFailing { logger.notice("The database can be reached again") }
            act { $0.opened(connection, at: facts.server, jitter: .random(in: 0...1), now: $1) }
        } catch {
            // Each caller gets the error; the log has one line for the outage.
            if !wasFailing {
                logger.warning(
                    error.kind == .readOnly ? "The database is read-only" : "The database cannot be reached",
                    metadata: ["error": "\(error)"])
            }
            act { $0.openFailed(error, jitter: .random(in: 0...1), now: $1) }
        }
    }

    private func check(_ connection: MySQLConnection) async {
        let before = state.withLock { $0.decisions.server(of: connection) }
        do throws(MySQLError) {
            let facts = try await connection.currentFacts()
            if let refusal = watch.admit(facts, before: before, writes: writes) { throw refusal }
            act { $0.opened(connection, at: facts.server, now: $1) }
        } catch {
            logger.debug("A connection is of no use any more", metadata: ["error": "\(error)"])
            let isReadOnly = error.kind == .readOnly
            act { decisions, now in
                let left = isReadOnly ? before.map { decisions.leave($0, now: now) } ?? [] : []
                return left + decisions.checkFailed(connection, now: now)
            }
        }
    }

    private func close(_ connection: MySQLConnection) async {
        await connection.close()
        act { decisions, _ in
            decisions.closed()
            return []
        }
    }

    private func now() -> Duration { ContinuousClock.now - start }
}

extension MySQLConnection {
    /// Runs the body. Returns whether the connection may be used again, and whether the server has refused a statement
    /// as read-only or not ready, even if the body caught that error.
    fileprivate func serve<T: Sendable>(
        _ body: @Sendable (isolated MySQLConnection) throws -> T
    ) async -> (Result<T, any Error>, isReusable: Bool, isRefused: Bool) {
        let result = Result { try body(self) }
        return (result, isUsable && !isInTransaction, isRefused)
    }
}
