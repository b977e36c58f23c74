import MySQLClient

@testable import ChatCluster

/// A database without a store, for tests of the time before a store opens it.
enum TestDatabase {
    /// Nobody listens there.
    static let deadRedis = "redis://127.0.0.1:1/0?connect-timeout=0.2"

    /// Runs `body` on a connection of its own.
    static func perform<Result: Sendable>(
        _ configuration: ClusterConfiguration, _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        let connection = try await MySQLConnection.connect(configuration.mysql)
        let result = try await connection.perform(body)
        await connection.close()
        return result
    }

    static func run(_ configuration: ClusterConfiguration, _ statements: String...) async throws {
        try await perform(configuration) { connection in
            for statement in statements { try connection.run(statement) }
        }
    }

    /// Their names, sorted.
    static func tables(_ configuration: ClusterConfiguration) async throws -> [String] {
        try await perform(configuration) { connection in
            try connection.rows(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
            ) { $0.text(0) }.sorted()
        }
    }

    /// A query's first column.
    static func integers(_ configuration: ClusterConfiguration, _ sql: String) async throws -> [Int64] {
        try await perform(configuration) { try $0.rows(sql) { $0.integer(0) } }
    }

    /// Two applications, the first with the chats 1 (messages 1 to 3) and 2 (messages 2 and 4).
    static func fill(_ connection: isolated MySQLConnection) throws {
        let time = "'2025-11-22 17:04:24.194123'"
        let places = ["1, 1", "1, 2", "1, 3", "2, 2", "2, 4"].map { "(\($0), 'x', \(time), \(time))" }
        for (table, columns, values) in [
            (
                "applications", "id, name, token",
                "(1, 'a', 'token-a', \(time), \(time)), (2, 'b', 'token-b', \(time), \(time))"
            ),
            ("chats", "id, application_id, number", "(1, 1, 1, \(time), \(time)), (2, 1, 2, \(time), \(time))"),
            ("messages", "chat_id, number, body", places.joined(separator: ", ")),
        ] {
            try connection.run("INSERT INTO \(table) (\(columns), created_at, updated_at) VALUES \(values)")
        }
    }
}
