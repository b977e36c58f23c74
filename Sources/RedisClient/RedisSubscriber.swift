package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Published messages, over its own connection, which subscribes to everything again after a reconnect.
///
/// The server confirms each (un)subscription in order, like any command, so the connection's deadline guards them too;
/// and a `PING` now and then finds out that a silent server is dead.
package final class RedisSubscriber: Sendable, Service {
    private struct State {
        var connection: RedisConnection?
        var downReason: String
        var channels: [String: Subscription] = [:]
        var lastCall = 0
        var hasConnected = false
    }

    private struct Subscription {
        /// The last `subscribe` for it. Only that one may give the channel up.
        var call: Int
        /// Whether the server has confirmed it, on this connection or an earlier one.
        var isConfirmed = false
    }

    private typealias Confirmation = CheckedContinuation<RedisReply, Never>

    private let configuration: RedisConfiguration
    private let connector: RedisConnector
    private let maxChannels: Int
    private let logger: Logger
    private let onGap: @Sendable () -> Void
    private let state: Mutex<State>

    /// - Parameters:
    ///   - maxChannels: subscriptions at the same time.
    ///   - onMessage: gets the messages of all channels, on the event loop; must be quick. One may still come shortly
    ///     after its channel was left.
    ///   - onGap: called after each reconnect, when all channels are subscribed again: messages may have been missed.
    package init(
        _ configuration: RedisConfiguration,
        maxChannels: Int,
        maxMessageBytes: Int = 64 << 20,
        group: any EventLoopGroup = .singletonMultiThreadedEventLoopGroup,
        logger: Logger,
        onMessage: @escaping @Sendable (_ channel: String, _ payload: [UInt8]) -> Void,
        onGap: @escaping @Sendable () -> Void
    ) {
        self.configuration = configuration
        self.state = Mutex(State(downReason: "not connected yet to \(configuration)"))
        self.maxChannels = maxChannels
        // Room for all channels at once after a reconnect, and for as many that come and go.
        self.connector = RedisConnector(
            configuration: configuration, limits: .init(commands: 2 * maxChannels + 1024, bytes: 64 << 20),
            maxReplyBytes: maxMessageBytes, group: group, onMessage: onMessage)
        self.logger = logger
        self.onGap = onGap
    }

    /// Whether the server is known to be there.
    package var isConnected: Bool { state.withLock(\.connection)?.isOpen ?? false }

    /// Returns when the server has confirmed. Not counted: one `unsubscribe` undoes any number of these.
    ///
    /// - Throws: `.unavailable` at once when there is no connection or `maxChannels` are subscribed, `.outcomeUnknown`
    ///   when it is lost meanwhile. The channel is not subscribed then, unless it was before.
    package func subscribe(_ channel: String) async throws(RedisError) {
        var call = 0
        let reply = await withCheckedContinuation { (waiter: Confirmation) in
            // Kept and sent together, so that the server sees the same changes in the same order.
            let refusal: String? = state.withLock { state in
                guard let connection = state.connection else { return state.downReason }
                guard state.channels.count < maxChannels || state.channels[channel] != nil else {
                    return "\(maxChannels) channels are subscribed, and that is the bound"
                }
                state.lastCall += 1
                call = state.lastCall
                state.channels[channel, default: Subscription(call: call)].call = call
                connection.submit([RedisCommand("SUBSCRIBE", channel)], by: deadline(), .one(waiter))
                return nil
            }
            if let refusal { waiter.resume(returning: .failure(.unavailable(reason: refusal))) }
        }
        do throws(RedisError) {
            _ = try reply.get()
            state.withLock { $0.channels[channel]?.isConfirmed = true }
        } catch {
            leave(channel, .nobody { _ in }) { !$0.isConfirmed && $0.call == call }
            throw error
        }
    }

    /// Returns when the server has confirmed, or when the connection is lost: the channel is left in any case.
    package func unsubscribe(_ channel: String) async {
        _ = await withCheckedContinuation { (waiter: Confirmation) in leave(channel, .one(waiter)) }
    }

    /// Connects and reconnects until shutdown.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await self.connector.keepConnected(logger: self.logger) { reason in
                self.state.withLock { state in
                    state.connection = nil
                    state.downReason = reason
                }
            } use: { connection in
                // An idle subscriber would never notice that the server is gone.
                connection.every(max(self.configuration.commandTimeout, .seconds(1))) { connection in
                    connection.submit([RedisCommand("PING")], by: self.deadline(), .nobody { _ in })
                }
                if await self.resubscribe(connection) { self.onGap() }
                await connection.untilClosed()
            }
        }
        state.withLock { $0.downReason = "the client has shut down" }
    }

    /// - Returns: whether the server has all subscriptions again, and there was a connection before.
    private func resubscribe(_ connection: RedisConnection) async -> Bool {
        let (isFirst, channels) = state.withLock { state in
            defer { state.hasConnected = true }
            state.connection = connection
            return (!state.hasConnected, Array(state.channels.keys))
        }
        // In portions, each with its own deadline.
        for start in stride(from: 0, to: channels.count, by: 1000) {
            let portion = channels[start..<min(start + 1000, channels.count)]
            let replies = await withCheckedContinuation { (waiter: CheckedContinuation<[RedisReply], Never>) in
                state.withLock { state in
                    // Some may be unsubscribed meanwhile, and the server knows it.
                    let commands = portion.filter { state.channels[$0] != nil }.map { RedisCommand("SUBSCRIBE", $0) }
                    connection.submit([RedisCommand("PING")] + commands, by: deadline(), .batch(waiter))
                }
            }
            for case .failure(let error) in replies {
                connection.close(reason: "it does not subscribe again: \(error.text)")
                return false
            }
        }
        return !isFirst
    }

    private func leave(
        _ channel: String, _ waiter: RedisConnection.Waiter, if condition: (Subscription) -> Bool = { _ in true }
    ) {
        let isSent = state.withLock { state in
            guard let subscription = state.channels[channel], condition(subscription) else { return false }
            state.channels[channel] = nil
            guard let connection = state.connection else { return false }
            connection.submit([RedisCommand("UNSUBSCRIBE", channel)], by: deadline(), waiter)
            return true
        }
        if !isSent { waiter.resume(with: [.success(.null)]) }
    }

    private func deadline() -> NIODeadline { .now() + TimeAmount(configuration.commandTimeout) }
}
