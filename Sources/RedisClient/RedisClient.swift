package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Redis for many tasks over one connection, with automatic pipelining and reconnection.
///
/// No command waits for a connection: without one each fails at once as `.unavailable`. A server that hangs costs one
/// `commandTimeout`; then the connection is closed, and commands fail at once until a new one answers.
package final class RedisClient: Sendable, Service {
    private struct State {
        var connection: RedisConnection?
        var downReason: String
        var observers: [@Sendable () -> Void] = []
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var lastWaiter = 0
    }

    private let configuration: RedisConfiguration
    private let connector: RedisConnector
    private let logger: Logger
    private let state: Mutex<State>
    private let failedPosts = Atomic(0)
    private let refusals: RedisRefusals

    /// - Parameters:
    ///   - maxInFlight: the most unanswered commands; further ones fail as `.unavailable`.
    ///   - maxInFlightBytes: the same limit in bytes, and so the largest batch.
    ///   - maxReplyBytes: a larger reply is `.tooLarge` and costs the connection.
    package init(
        _ configuration: RedisConfiguration,
        maxInFlight: Int = 16_384,
        maxInFlightBytes: Int = 64 << 20,
        maxReplyBytes: Int = 64 << 20,
        group: any EventLoopGroup = .singletonMultiThreadedEventLoopGroup,
        logger: Logger
    ) {
        self.configuration = configuration
        self.state = Mutex(State(downReason: "not connected yet to \(configuration)"))
        self.connector = RedisConnector(
            configuration: configuration, limits: .init(commands: maxInFlight, bytes: maxInFlightBytes),
            maxReplyBytes: maxReplyBytes, group: group)
        self.logger = logger
        self.refusals = RedisRefusals(logger: logger)
    }

    /// Whether commands are accepted. It may be true for a server that has just hung.
    package var isConnected: Bool { state.withLock(\.connection)?.isOpen ?? false }

    /// Commands that are queued or sent, and not answered.
    package var inFlight: Int { state.withLock(\.connection)?.inFlight ?? 0 }

    /// How many posted commands have failed so far.
    package var postFailures: Int { failedPosts.load(ordering: .relaxed) }

    /// Why the server answers but refuses commands: `OOM`, `NOPERM`, `MISCONF` and similar. Empty if it refuses none.
    package var refusalCauses: [String] { refusals.causes }

    /// Calls `body` with the cause of each refused command; it must be quick.
    package func onRefusal(_ body: @escaping @Sendable (_ cause: String) -> Void) { refusals.onRefusal(body) }

    /// Sends commands in one write: one result each, in order. Takes `commandTimeout` at most.
    package func send(_ commands: [RedisCommand]) async -> [Result<RedisValue, RedisError>] {
        let (connection, reason) = current()
        guard let connection else { return commands.map { _ in .failure(.unavailable(reason: reason)) } }
        let replies = await connection.send(commands, by: deadline())
        refusals.note(commands, replies)
        return replies
    }

    /// Sends one command. Takes `commandTimeout` at most.
    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue {
        let (connection, reason) = current()
        guard let connection else { throw .unavailable(reason: reason) }
        let reply = await connection.send(command, by: deadline())
        refusals.note([command], [reply])
        return try reply.get()
    }

    /// Sends commands without waiting for the replies; counts failures. A shutdown still sends posted commands.
    package func post(_ commands: [RedisCommand]) {
        if commands.isEmpty { return }
        guard let connection = current().connection else { return countFailures(commands.count) }
        connection.submit(
            commands, by: deadline(),
            .nobody { replies in
                self.countFailures(replies.count { if case .failure = $0 { true } else { false } })
                self.refusals.note(commands, replies)
            })
    }

    /// Makes a connection for blocking commands, which closes when `body` ends.
    ///
    /// - Throws: `RedisError.unavailable`, or the errors of `body`.
    nonisolated(nonsending) package func withDedicatedConnection<T>(
        _ body: nonisolated(nonsending) (RedisConnection) async throws -> T
    ) async throws -> T {
        let connection = try await connector.connect()
        defer { connection.close(reason: "its use has ended") }
        return try await body(connection)
    }

    /// Calls `body` after each connect, the first and all others; it must be quick.
    package func onReconnect(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.observers.append(body) } }

    /// Tries once whether the server can be connected to.
    ///
    /// - Throws: `.unavailable` when it cannot now; `.unusable` when that will hardly change.
    package func check() async throws(RedisError) { try await connector.connect().close(reason: "it was a try") }

    /// Returns as soon as there is a connection.
    ///
    /// - Throws: `.unavailable` after the timeout, with the reason why the last try failed.
    package func waitUntilConnected(timeout: Duration) async throws(RedisError) {
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        let timer = connector.group.any().scheduleTask(in: TimeAmount(timeout)) { self.wake(id) }
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                // One that is closed will be replaced in a moment.
                let isConnected = state.connection?.isOpen ?? false
                if !isConnected { state.waiters[id] = continuation }
                return isConnected
            }
            if isOver { continuation.resume() }
        }
        timer.cancel()
        let (connection, reason) = current()
        if connection == nil { throw .unavailable(reason: reason) }
    }

    /// Connects and reconnects until shutdown; then takes nothing in, waits for the replies that are due, and closes.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await self.connector.keepConnected(logger: self.logger) { reason in
                self.state.withLock { state in
                    state.connection = nil
                    state.downReason = reason
                }
            } use: { connection in
                self.use(connection)
                await connection.untilClosed()
            }
        }
        state.withLock { $0.downReason = "the client has shut down" }
    }

    private func use(_ connection: RedisConnection) {
        let (observers, waiters) = state.withLock { state in
            state.connection = connection
            defer { state.waiters = [:] }
            return (state.observers, state.waiters.values)
        }
        for observer in observers { observer() }
        for waiter in waiters { waiter.resume() }
    }

    private func wake(_ id: Int) { state.withLock { $0.waiters.removeValue(forKey: id) }?.resume() }

    private func current() -> (connection: RedisConnection?, reason: String) {
        state.withLock { ($0.connection, $0.downReason) }
    }

    private func deadline() -> NIODeadline { .now() + TimeAmount(configuration.commandTimeout) }

    private func countFailures(_ count: Int) { if count > 0 { failedPosts.add(count, ordering: .relaxed) } }
}
