import ChatCore
import Foundation
import Logging
import MySQLClient
import RedisClient
import ServiceLifecycle
import TestSupport

@testable import ChatCluster

/// A store on an empty database, with a tenant and a chat, its services running.
struct TestCluster: Sendable {
    let store: MySQLStore
    let configuration: ClusterConfiguration
    let keeper: MySQLKeeper
    let tenant: Tenant.ID
    let chat: Chat.ID

    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    static let time = Timestamp(microseconds: 1_763_830_664_194_123)

    static func configuration(
        mysql: String? = nil, redis: String? = nil
    ) async throws -> ClusterConfiguration {
        let mysqlURL: String
        if let mysql { mysqlURL = mysql } else { mysqlURL = try await SharedServers.freshDatabase() }
        let redisURL: String
        if let redis { redisURL = redis } else { redisURL = try await SharedServers.freshRedisDatabase() }
        var configuration = ClusterConfiguration(
            mysql: try MySQLConfiguration(url: mysqlURL), redis: try RedisConfiguration(url: redisURL))
        // A slow machine must not fail the test; waits that a test causes are shorter than this.
        configuration.patience = .seconds(30)
        return configuration
    }

    static func run(
        _ configuration: ClusterConfiguration? = nil, _ body: (TestCluster) async throws -> Void
    ) async throws {
        let configuration = if let configuration { configuration } else { try await Self.configuration() }
        let keeper = MySQLKeeper(configuration, logger: logger)
        _ = try await keeper.migrate()
        let store = try await MySQLStore(configuration, logger: logger)
        try await store.run { store in
            let token = Tenant.Token.random()
            _ = try await store.apply([.create(name: "test", token: token)], at: time)
            guard let tenant = try await store.id(of: token) else { throw ChatError.notFound }
            let number = try await store.append([NewChat(tenant: tenant)], at: time)[0].get().number
            guard let chat = try await store.id(of: number, in: tenant) else { throw ChatError.notFound }
            try await body(
                TestCluster(store: store, configuration: configuration, keeper: keeper, tenant: tenant, chat: chat))
        }
    }

    @discardableResult
    func send(
        _ count: Int, to chat: Chat.ID? = nil, key: String? = nil, by store: MySQLStore? = nil
    ) async throws -> [Int64] {
        let batch = try (0..<count).map { index in
            NewMessage(
                tenant: tenant, chat: chat ?? self.chat, body: "m\(index)",
                key: try key.map { try IdempotencyKey("\($0)\(index)", content: []) })
        }
        var results = try await (store ?? self.store).append(batch, at: Self.time)
        // As `GroupCommit` does.
        while true {
            let held = results.indices.filter { results[$0] == .failure(.held) }
            if held.isEmpty { return try results.map { try $0.get().number.rawValue } }
            let again = try await (store ?? self.store).append(held.map { batch[$0] }, at: Self.time)
            for (index, result) in zip(held, again) { results[index] = result }
        }
    }

    var numberKey: String { NumberedTable.messages.numberKey(chat.rawValue) }

    func redis(_ arguments: String...) async throws -> RedisValue {
        try await store.redis.send(RedisCommand(arguments))
    }

    /// Runs SQL beside the store.
    @discardableResult
    func sql(_ text: String, _ parameters: [MySQLValue] = []) async throws -> [[Int64]] {
        try await store.scans.withConnection { connection in
            if !text.hasPrefix("SELECT") {
                try connection.execute(text, parameters)
                return []
            }
            return try connection.rows(text, parameters) { [$0.integer(0)] }
        }
    }

    func verify(mends: Bool = false) async throws -> StoreReport { try await keeper.verify(mends: mends) { _, _ in } }

    func storedNumbers() async throws -> [Int64] {
        try await sql("SELECT number FROM messages WHERE chat_id = ? ORDER BY number", [.integer(chat.rawValue)]).map {
            $0[0]
        }
    }

    func deployment() async throws -> Deployment { try await store.scans.withConnection { try Deployment($0) } }

    func anotherChat() async throws -> Chat.ID {
        let number = try await store.append([NewChat(tenant: tenant)], at: Self.time)[0].get().number
        guard let chat = try await store.id(of: number, in: tenant) else { throw ChatError.notFound }
        return chat
    }

    /// Stores a message as the Rails application would, or another node.
    func insert(number: Int64) async throws {
        try await store.scans.withConnection { connection in
            try connection.transaction { connection in
                try connection.execute(
                    """
                    INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                    VALUES (?, ?, 'theirs', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))
                    """, [.integer(chat.rawValue), .integer(number)])
                try connection.execute(
                    "UPDATE application_counts SET messages = messages + 1 WHERE application_id = ? LIMIT 1",
                    [.integer(tenant.rawValue)])
            }
        }
    }
}

extension MySQLStore {
    /// Runs its services while `body` runs.
    func run(_ body: (MySQLStore) async throws -> Void) async throws {
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [redis, reads, writes, scans], logger: TestCluster.logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let result: Result<Void, any Error>
            do {
                try await redis.waitUntilConnected(timeout: .seconds(5))
                try await body(self)
                result = .success(())
            } catch {
                result = .failure(error)
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try result.get()
        }
    }
}

extension MySQLStore {
    /// - Returns: the message that the number holds from now on; nil when it is void.
    func settle(_ number: Message.Number, in chat: Chat.ID) async throws -> Message? {
        try await settle(number.rawValue...number.rawValue, in: chat)
        return try await message(number, in: chat)
    }
}
