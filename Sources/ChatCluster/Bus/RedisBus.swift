import ChatCore
import Logging
import RedisClient
import ServiceLifecycle
import Synchronization

/// Publishes messages and revocations to the processes of a cluster, over Redis' PUBLISH and SUBSCRIBE. Readers of the
/// process that stored a message get it without Redis, and so during an outage too.
///
/// Redis is not trusted: payloads are sealed (`BusSeal`), and the channels' names carry the deployment's id, so deployments
/// that share a Redis neither hear nor read each other.
final class RedisBus: MessageBus, Service {
    private let local = LocalBus()
    private let channels: BusChannels
    private let seal: BusSeal
    /// Identifies the data of the database server in use.
    private let server: @Sendable () -> String
    private let subscriber: RedisSubscriber
    private let post: @Sendable ([RedisCommand]) -> Void
    private let logger: Logger
    /// Whether Redis' own answer to the last SUBSCRIBE was an error.
    private let isRefused = Atomic(false)

    /// - Parameters:
    ///   - maxChats: chats subscribed to at the same time.
    ///   - post: sends commands without waiting for their answers.
    init(
        _ configuration: RedisConfiguration, deployment: Deployment, maxChats: Int,
        server: @escaping @Sendable () -> String = { "" }, post: @escaping @Sendable ([RedisCommand]) -> Void,
        logger: Logger
    ) {
        let (local, channels, seal) = (local, BusChannels(deployment: deployment.id), BusSeal(key: deployment.key))
        let stranger = Stranger(logger: logger)
        self.channels = channels
        self.seal = seal
        self.server = server
        self.post = post
        self.logger = logger
        self.subscriber = RedisSubscriber(
            configuration, maxChannels: maxChats + 2, logger: logger,
            onMessage: { channel, payload in
                if channel == channels.access {
                    guard let plain = seal.open(payload, from: channel) else { return stranger.spoke(on: channel) }
                    return local.tell(BusPayload.accessEvent(plain) ?? .gap)
                }
                let isPresence = channel == channels.presence
                guard let chat = isPresence ? Chat.ID(0) : channels.chat(of: channel) else { return }
                // Readers notice a dropped message as a gap, and find it in the database.
                let server = server()
                guard let plain = seal.open(payload, from: channel, at: server) else {
                    // From one of our servers in the middle of a switch-over, or forged.
                    if !seal.isElsewhere(payload, than: server) { stranger.spoke(on: channel) }
                    return
                }
                let event = isPresence ? BusPayload.presenceEvent(plain) : BusPayload.chatEvent(plain, of: chat)
                if let event { local.tell(event) }
            },
            onGap: { local.tell(.gap) })
    }

    var hearing: BusHearing { subscriber.isConnected ? .usual : .nothing }

    func listen(_ listener: @escaping @Sendable (BusEvent) -> Void) { local.listen(listener) }

    func subscribe(to chat: Chat.ID) async -> Bool {
        _ = await local.subscribe(to: chat)
        do throws(RedisError) {
            try await subscriber.subscribe(channels.name(of: chat))
            isRefused.store(false, ordering: .relaxed)
            return true
        } catch {
            // Logged once, though retried every second for each chat. A lost connection is logged elsewhere.
            if case .server = error, !isRefused.exchange(true, ordering: .relaxed) {
                logger.warning("Redis refused SUBSCRIBE", metadata: ["error": "\(error)"])
            }
            return false
        }
    }

    func unsubscribe(from chat: Chat.ID) async {
        await local.unsubscribe(from: chat)
        await subscriber.unsubscribe(channels.name(of: chat))
    }

    /// Publishes to the readers of this process.
    ///
    /// - Returns: the commands for the other processes, one for each chat.
    func publish(_ stored: [Chat.ID: [Message]]) -> [RedisCommand] {
        local.publish(stored)
        return stored.map { chat, messages in command(BusPayload.encode(messages), to: chat) }
    }

    func publish(revisions: [Chat.ID: Int64]) {
        local.publish(revisions: revisions)
        post(revisions.map { chat, revision in command(BusPayload.encode(revision: revision), to: chat) })
    }

    func publish(_ signals: [Signal], in chat: Chat.ID) {
        local.publish(signals, in: chat)
        post([command(BusPayload.encode(signals: signals), to: chat)])
    }

    private func command(_ payload: [UInt8], to chat: Chat.ID) -> RedisCommand {
        let channel = channels.name(of: chat)
        var command = RedisCommand("PUBLISH", channel)
        command.append(seal.seal(payload, for: channel, at: server()))
        return command
    }

    func publish(online users: [PresentUser]) {
        local.publish(online: users)
        post(
            users.chunks(of: BusPayload.mostOnline).map { some in
                var command = RedisCommand("PUBLISH", channels.presence)
                command.append(
                    seal.seal(BusPayload.encode(online: some), for: channels.presence, at: server()))
                return command
            })
    }

    /// Tells this process alone.
    func tell(_ event: BusEvent) { local.tell(event) }

    func revoke(_ principal: Principal, isBlocked: Bool) {
        local.revoke(principal, isBlocked: isBlocked)
        postAccess(BusPayload.encode(revoked: principal, isBlocked: isBlocked))
    }

    func change(_ tenant: Tenant.ID) {
        local.change(tenant)
        postAccess(BusPayload.encode(changed: tenant))
    }

    func publish(_ change: MembersChanged) {
        local.publish(change)
        // Should its ids mean something else at another server, that is looked up again for nothing.
        postAccess(BusPayload.encode(change))
    }

    private func postAccess(_ payload: [UInt8]) {
        // Principals belong to the deployment, not to a server. An application is only looked up again.
        var command = RedisCommand("PUBLISH", channels.access)
        command.append(seal.seal(payload, for: channels.access))
        post([command])
    }

    func run() async throws {
        let hearing = Task { await hearRevocations() }
        defer { hearing.cancel() }
        try await subscriber.run()
    }

    /// Retries until Redis has confirmed once; from then on the subscriber does.
    private func hearRevocations() async {
        while !Task.isCancelled {
            do throws(RedisError) {
                try await subscriber.subscribe(channels.presence)
                try await subscriber.subscribe(channels.access)
                return local.tell(.gap)
            } catch {
                // A shutdown cuts it short.
                try? await Task.sleep(for: subscriber.isConnected ? .seconds(1) : .milliseconds(50))
            }
        }
    }
}

/// Logs foreign publishers on our channels once, so that they cannot fill the log.
private final class Stranger: Sendable {
    private let logger: Logger
    private let hasSpoken = Atomic(false)

    init(logger: Logger) { self.logger = logger }

    func spoke(on channel: String) {
        guard !hasSpoken.exchange(true, ordering: .relaxed) else { return }
        logger.warning("Foreign message on our channel dropped", metadata: ["channel": "\(channel)"])
    }
}

/// The names of the channels: `luciq:<deployment>:chat:<id>`, one for revocations, and one for who comes online.
struct BusChannels: Sendable {
    private let prefix: String
    let access: String
    let presence: String

    init(deployment: String) {
        self.prefix = "luciq:\(deployment):chat:"
        self.access = "luciq:\(deployment):access"
        self.presence = "luciq:\(deployment):online"
    }

    func name(of chat: Chat.ID) -> String { prefix + String(chat.rawValue) }

    func chat(of name: String) -> Chat.ID? {
        name.hasPrefix(prefix) ? Int64(name.dropFirst(prefix.utf8.count)).map { Chat.ID($0) } : nil
    }
}
