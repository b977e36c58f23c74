package import Logging
package import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Receives published messages over its own connection, and subscribes to all channels again after a reconnect.
///
/// The server confirms each (un)subscription in order, like any command, so the connection's deadline covers them too.
/// A regular `PING` detects a dead server.
package final class RedisSubscriber: Sendable, Service {
    private struct State {
        var connection: RedisConnection?
        var downReason: String
        var channels: [String: Subscription] = [:]
        var lastCall = 0
        var hasConnected = false
    }

    private struct Subscription {
        /// The last `subscribe` for the channel. Only that one may remove it.
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
    ///   - maxChannels: the most subscriptions at the same time.
    ///   - onMessage: gets the messages of all channels, on the event loop; must be quick. A message may still arrive
    ///     shortly after `unsubscribe`.
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
        // Room to subscribe to all channels after a reconnect, and for as many other changes.
        self.connector = RedisConnector(
            configuration: configuration, limits: .init(commands: 2 * maxChannels + 1024, bytes: 64 << 20),
            maxReplyBytes: maxMessageBytes, group: group, onMessage: onMessage)
        self.logger = logger
        self.onGap = onGap
    }

    /// Whether the server is connected and answers.
    package var isConnected: Bool { state.withLock(\.connection)?.isOpen ?? false }

    /// Returns when the server has confirmed. Calls are not counted: one `unsubscribe` undoes any number of them.
    ///
    /// - Throws: `.unavailable` at once without a connection or at `maxChannels`; `.outcomeUnknown` if the connection
    ///   is lost meanwhile. The channel is not subscribed then, unless it was before.
    package func subscribe(_ channel: String) async throws(RedisError) {
        var call = 0
        let reply = await withCheckedContinuation { (waiter: Confirmation) in
            // Record and send under one lock, so that the server gets the changes in the same order.
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

    /// Returns when the server has confirmed, or the connection is lost: the channel is unsubscribed in any case.
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
                // An idle subscriber would never notice a dead server.
                connection.every(max(self.configuration.commandTimeout, .seconds(1))) { connection in
                    connection.submit([RedisCommand("PING")], by: self.deadline(), .nobody { _ in })
                }
                if await self.resubscribe(connection) { self.onGap() }
                await connection.untilClosed()
            }
        }
        state.withLock { $0.downReason = "the client has shut down" }
    }

    /// - Returns: whether all channels are subscribed again, and there was a connection before.
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
                    // Some may have been unsubscribed meanwhile, at the server too.
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
