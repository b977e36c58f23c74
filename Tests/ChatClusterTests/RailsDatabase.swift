import ChatCore
import MySQLClient
import RedisClient
import TestSupport

@testable import ChatCluster

/// A database as the Rails application made it and left it.
///
/// Application 1 has the chats 1, 2, 4 and 5 (a request failed after it took the number 3), application 2 one chat,
/// application 3 none. A chat's id is 10 times its application's plus its number.
enum RailsDatabase {
    static let versions = ["20251027155137", "20251027195054", "20251028144809"]
    static let tokens = ["a", "b", "c"].map { String(repeating: $0, count: 32) }

    struct Chat: Sendable {
        let application: Int64
        let number: Int64
        /// Failed requests left gaps.
        let messages: [Int64]
        /// What Redis says the last number was.
        let counter: Int64?

        var id: Int64 { application * 10 + number }
        var next: Int64 { (messages.max() ?? 0) + 1 }
    }

    static let chats = [
        // Redis has lost the key.
        Chat(application: 1, number: 1, messages: [1, 2, 4, 7], counter: nil),
        // Redis is behind, as after a restore.
        Chat(application: 1, number: 2, messages: [1, 2, 3, 4, 5], counter: 3),
        // Far ahead: Rails stored MAX+1 instead of Redis' counter.
        Chat(application: 1, number: 4, messages: [1, 2, 3], counter: 900),
        Chat(application: 1, number: 5, messages: [], counter: 17),
        Chat(application: 2, number: 1, messages: [1], counter: 1),
    ]
    static let missing = ["chat 1: message 3", "chat 1: message 5", "chat 1: message 6", "chat 3"]

    /// As `schema.rb` of Rails 8 makes them.
    static let schema = [
        """
        CREATE TABLE `applications` (`id` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, `name` varchar(255) NOT NULL,
            `token` varchar(255) NOT NULL, `chats_count` int DEFAULT 0, `created_at` datetime(6) NOT NULL,
            `updated_at` datetime(6) NOT NULL, UNIQUE INDEX `index_applications_on_token` (`token`))
            CHARSET=utf8mb4
        """,
        """
        CREATE TABLE `chats` (`id` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, `application_id` bigint NOT NULL,
            `number` int NOT NULL, `messages_count` int DEFAULT 0, `created_at` datetime(6) NOT NULL,
            `updated_at` datetime(6) NOT NULL,
            UNIQUE INDEX `index_chats_on_application_id_and_number` (`application_id`, `number`),
            INDEX `index_chats_on_application_id` (`application_id`), CONSTRAINT `fk_rails_c2eb9fa6bc`
            FOREIGN KEY (`application_id`) REFERENCES `applications` (`id`)) CHARSET=utf8mb4
        """,
        """
        CREATE TABLE `messages` (`id` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, `chat_id` bigint NOT NULL,
            `number` int NOT NULL, `body` text, `created_at` datetime(6) NOT NULL, `updated_at` datetime(6) NOT NULL,
            UNIQUE INDEX `index_messages_on_chat_id_and_number` (`chat_id`, `number`),
            INDEX `index_messages_on_chat_id` (`chat_id`), CONSTRAINT `fk_rails_0f670de7ba`
            FOREIGN KEY (`chat_id`) REFERENCES `chats` (`id`)) CHARSET=utf8mb4
        """,
        """
        CREATE TABLE `ar_internal_metadata` (`key` varchar(255) NOT NULL PRIMARY KEY, `value` varchar(255),
            `created_at` datetime(6) NOT NULL, `updated_at` datetime(6) NOT NULL) CHARSET=utf8mb4
        """,
        "CREATE TABLE `schema_migrations` (`version` varchar(255) NOT NULL PRIMARY KEY) CHARSET=utf8mb4",
        """
        INSERT INTO `ar_internal_metadata` (`key`, `value`, `created_at`, `updated_at`)
        VALUES ('environment', 'production', '2025-10-28 14:48:09.000001', '2025-10-28 14:48:09.000001')
        """,
        "INSERT INTO `schema_migrations` (version) VALUES \(versions.map { "(\($0))" }.joined(separator: ", "))",
    ]

    /// What Rails wrote, in a text that differs when a byte does.
    private static let contents = [
        "SELECT CONCAT_WS('|', id, HEX(name), token, chats_count, created_at, updated_at) FROM applications ORDER BY id",
        """
        SELECT CONCAT_WS('|', id, application_id, number, messages_count, created_at, updated_at) FROM chats ORDER BY id
        """,
        "SELECT CONCAT_WS('|', id, chat_id, number, HEX(body), created_at, updated_at) FROM messages ORDER BY id",
        "SELECT CONCAT_WS('|', `key`, value, created_at, updated_at) FROM ar_internal_metadata",
    ]

    static func make(_ configuration: ClusterConfiguration) async throws {
        try await TestDatabase.perform(configuration) { connection in
            for statement in schema { try connection.run(statement) }
            for (index, token) in tokens.enumerated() {
                try connection.run(
                    """
                    INSERT INTO `applications` (`id`, `name`, `token`, `chats_count`, `created_at`, `updated_at`)
                    VALUES (\(index + 1), 'Ünï 😀 \(index)', '\(token)', 0, \(time(index)), \(time(index)))
                    """)
            }
            for chat in chats {
                try connection.run(
                    """
                    INSERT INTO `chats` (`id`, `application_id`, `number`, `messages_count`, `created_at`, `updated_at`)
                    VALUES (\(chat.id), \(chat.application), \(chat.number), 0, \(time(0)), \(time(1)))
                    """)
                for number in chat.messages { try connection.run(insertMessage(chat.id, number, "öld 😀 \(number)")) }
            }
        }
        guard configuration.redis.description != "redis://127.0.0.1:1/0" else { return }
        try await configuration.withRedis(logger: TestCluster.logger) { redis in
            for chat in chats {
                guard let counter = chat.counter else { continue }
                _ = try await redis.send(RedisCommand("SET", "chat:\(chat.id):message_number", "\(counter)"))
            }
        }
    }

    /// As ActiveRecord's `create!` does it.
    static func insertMessage(_ chat: Int64, _ number: Int64, _ body: String) -> String {
        """
        INSERT INTO `messages` (`chat_id`, `number`, `body`, `created_at`, `updated_at`)
        VALUES (\(chat), \(number), '\(body)', \(time(2)), \(time(2)))
        """
    }

    static func time(_ second: Int) -> String { "'2025-11-22 17:04:0\(second).194123'" }

    static func contents(_ configuration: ClusterConfiguration) async throws -> [[String]] {
        try await TestDatabase.perform(configuration) { connection in
            try contents.map { try connection.rows($0) { $0.text(0) } }
        }
    }
}
