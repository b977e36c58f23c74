import ArgumentParser
import ChatCluster
import ChatCore
import MySQLClient

/// Measures the database server alone: inserts rows like those of messages, without the application.
struct Inserts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Insert rows into MySQL and print how many a second.")

    @Option(help: "Connections.") var connections: Int
    @Option(help: "Rows a statement, which commits by itself.") var rows: Int
    @Option(help: "How long.") var seconds: Int

    func run() async throws {
        guard case .cluster(let cluster) = try LuciqBench.Store.named() else {
            throw ValidationError("DATABASE_URL must name a MySQL database.")
        }
        let mysql = cluster.mysql
        let setUp = try await MySQLConnection.connect(mysql)
        try await setUp.run("DROP TABLE IF EXISTS bench_inserts")
        try await setUp.run(
            """
            CREATE TABLE bench_inserts (
                id BIGINT AUTO_INCREMENT PRIMARY KEY, chat_id BIGINT, number INT, body TEXT, created_at DATETIME(6),
                updated_at DATETIME(6), batch_id BIGINT, UNIQUE (chat_id, number))
            """)
        let began = ContinuousClock.now
        let count = try await withThrowingTaskGroup(of: Int.self) { tasks in
            for writer in 0..<connections {
                tasks.addTask { try await insert(as: Int64(writer), mysql, until: began + .seconds(seconds)) }
            }
            return try await tasks.reduce(0, +)
        }
        let took = (ContinuousClock.now - began) / .seconds(1)
        try await setUp.run("DROP TABLE bench_inserts")
        print(Int(Double(count) / took))
    }

    /// - Returns: how many rows it inserted.
    private func insert(
        as writer: Int64, _ mysql: MySQLConfiguration, until end: ContinuousClock.Instant
    ) async throws -> Int {
        let connection = try await MySQLConnection.connect(mysql)
        let statement = """
            INSERT INTO bench_inserts (chat_id, number, body, created_at, updated_at, batch_id)
            VALUES \(Array(repeating: "(?, ?, ?, ?, ?, ?)", count: rows).joined(separator: ", "))
            """
        let now = WallClock.system.now().microseconds
        let count = try await connection.perform { connection in
            var number: Int64 = 0
            while ContinuousClock.now < end {
                var values: [MySQLValue] = []
                for _ in 0..<rows {
                    number += 1
                    values += [
                        .integer(writer), .integer(number), .text(Fill.body(number)), .timestamp(now),
                        .timestamp(now), .integer(writer + 1),
                    ]
                }
                try connection.execute(statement, values)
            }
            return Int(number)
        }
        await connection.close()
        return count
    }
}
