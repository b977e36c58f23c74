import ChatCore
import Logging
import RedisClient
import ServiceLifecycle
import Synchronization

/// Tells the processes of a cluster of messages, over Redis' PUBLISH and SUBSCRIBE. Readers of the process that stored a
/// message hear of it without Redis, and so when it is away too.
///
/// Redis has one space of channels for all its databases, so their names begin with the database's number: deployments
/// that share a Redis do not hear each other.
final class RedisBus: MessageBus, Service {
    private let local = LocalBus()
    private let channels: BusChannels
    private let subscriber: RedisSubscriber
    private let logger: Logger
    /// Whether Redis' own answer to the last SUBSCRIBE was an error.
    private let isRefused = Atomic(false)

    /// - Parameter maxChats: heard at the same time.
    init(_ configuration: RedisConfiguration, maxChats: Int, logger: Logger) {
        let (local, channels) = (local, BusChannels(database: configuration.database))
        self.channels = channels
        self.logger = logger
        self.subscriber = RedisSubscriber(
            configuration, maxChannels: maxChats, logger: logger,
            onMessage: { channel, payload in
                guard let chat = channels.chat(of: channel) else { return }
                // What cannot be read was not ours; a message lost in it will be missed and looked for.
                guard let messages = try? BusPayload.decode(payload), !messages.isEmpty else { return }
                local.tell(.committed(chat, messages))
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
            // Said once, though it is tried every second for each chat. That there is no connection has been said.
            if case .server = error, !isRefused.exchange(true, ordering: .relaxed) {
                logger.warning("Redis does not let messages be heard", metadata: ["error": "\(error)"])
            }
            return false
        }
    }

    func unsubscribe(from chat: Chat.ID) async {
        await local.unsubscribe(from: chat)
        await subscriber.unsubscribe(channels.name(of: chat))
    }

    /// Tells the readers of this process.
    ///
    /// - Returns: what tells the others: one command a chat.
    func publish(_ stored: [Chat.ID: [Message]]) -> [RedisCommand] {
        local.publish(stored)
        return stored.map { chat, messages in
            var command = RedisCommand("PUBLISH", channels.name(of: chat))
            command.append(BusPayload.encode(messages))
            return command
        }
    }

    func run() async throws { try await subscriber.run() }
}

/// The names of the channels: `luciq:<database>:chat:<id>`.
struct BusChannels: Sendable {
    private let prefix: String

    init(database: Int) { self.prefix = "luciq:\(database):chat:" }

    func name(of chat: Chat.ID) -> String { prefix + String(chat.rawValue) }

    func chat(of name: String) -> Chat.ID? {
        name.hasPrefix(prefix) ? Int64(name.dropFirst(prefix.utf8.count)).map { Chat.ID($0) } : nil
    }
}
