package import ChatCore
import Foundation
package import Logging
import MySQLClient
import RedisClient

/// Creates, migrates, resets and verifies the cluster's database.
package struct MySQLKeeper: StoreKeeper {
    private let configuration: ClusterConfiguration
    private let logger: Logger

    package init(_ configuration: ClusterConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    private var location: String { configuration.mysql.description }

    package func create() async throws {
        let name = configuration.mysql.database
        // An identifier cannot be a parameter.
        guard name.wholeMatch(of: /[A-Za-z0-9_$-]{1,64}/) != nil else {
            throw StoreProblem(
                "A database's name must be 1 to 64 of A-Z a-z 0-9 _ $ -, not \(name).", isConfiguration: true)
        }
        var mysql = configuration.mysql
        mysql.database = ""
        try await withConnection(mysql) { connection in
            try await connection.perform { connection in
                try connection.run("CREATE DATABASE IF NOT EXISTS `\(name)` DEFAULT CHARACTER SET utf8mb4")
            }
        }
    }

    package func migrate() async throws -> [String] {
        try await withConnection(configuration.mysql) { try await migrate($0) }
    }

    private func migrate(_ connection: MySQLConnection) async throws -> [String] {
        let migrator = Migrator(location: location) { try await forgetNumbers() }
        let applied = try await migrator.migrate(connection)
        // Each time: servers of before may have made applications since.
        try await connection.perform { try PublicIDs.giveToAll($0) }
        return applied
    }

    /// Deletes the Redis keys of a database whose numbers are not trusted.
    private func forgetNumbers(andCounts: Bool = false) async throws {
        do {
            try await configuration.withRedis(logger: logger) { redis in
                if andCounts { try await redis.forget(like: RedisKey.messagesCount(of: 0)) }
                for table in [NumberedTable.messages, .chats] {
                    try await NumberSource(redis: redis, table: table).forgetAll()
                }
            }
        } catch {
            throw StoreProblem(
                """
                The numbers in Redis (\(configuration.redis.description)) must be dropped first, and that failed: \
                \(error). Nothing was changed.
                """)
        }
    }

    package func status() async throws -> StoreStatus {
        try await withConnection(configuration.mysql) { connection in
            let schema = try await connection.perform { try Schema($0) }
            let counts = try await connection.perform { connection -> [Int64] in
                guard schema.pending.isEmpty else { return [0, 0, 0, 0] }
                return try connection.first(
                    """
                    SELECT COUNT(*),
                        (SELECT CAST(IFNULL(SUM(chats), 0) AS SIGNED) FROM application_counts),
                        (SELECT CAST(IFNULL(SUM(messages), 0) AS SIGNED) FROM application_counts),
                        (SELECT CAST(IFNULL(MAX(epoch), 0) AS SIGNED) FROM deployment)
                    FROM applications
                    """
                ) { [$0.integer(0), $0.integer(1), $0.integer(2), $0.integer(3)] } ?? [0, 0, 0, 0]
            }
            return StoreStatus(
                location: location,
                engine: (connection.isMariaDB ? "MariaDB " : "MySQL ") + connection.serverVersion,
                applied: schema.applied,
                pending: schema.pending.map(\.version),
                applications: counts[0],
                chats: counts[1],
                messages: counts[2],
                epoch: counts[3]
            )
        }
    }

    /// Those that belong to no application.
    private static let otherTables = [
        "deployment", "job_positions", "audit", "removals", "search_generations", "applications", "schema_migrations",
    ]

    package func reset() async throws {
        try await withConnection(configuration.mysql) { connection in
            try await connection.perform { connection in
                let schema = try Schema(connection)
                try schema.checkMayMigrate(location)
                // The messages before the chats, and these before the applications: foreign keys.
                for table in OwnedTable.cluster.map(\.name) + Self.otherTables {
                    try connection.run("DROP TABLE IF EXISTS \(table)")
                }
            }
            // Ids start again at 1, so a copy of an old chat's count would become a new chat's.
            try await forgetNumbers(andCounts: true)
            _ = try await migrate(connection)
        }
    }

    package func verify(
        mends: Bool, progress: @escaping @Sendable (Int64, Int64) -> Void
    ) async throws -> StoreReport {
        do {
            var verifier = try await MySQLVerifier(
                configuration: configuration, mends: mends, logger: logger, progress: progress)
            var report = try await verifier.run()
            try await withStore { store in
                for problem in try await SearchUpkeep(store).verify(progress: progress).problems { report.add(problem) }
            }
            return report
        } catch let error as MySQLError {
            throw StoreProblem(connecting: error, to: location)
        }
    }

    package func newEpoch(above known: Int64) async throws -> Int64 {
        try await withConnection(configuration.mysql) { connection in
            let deployment = try await connection.perform { connection in
                try Schema(connection).checkIsCurrent(location)
                return try Deployment(connection)
            }
            var remembered: Int64 = 0
            // Redis may be empty or away: then it knows of no other epoch.
            try? await configuration.withRedis(logger: logger) { redis in
                let value = try await redis.send(RedisCommand("GET", deployment.epochKey)).string
                remembered = value.flatMap { Int64($0) } ?? 0
            }
            let epoch = Cursor.epoch(after: deployment.epoch, known, remembered)
            try await connection.perform { connection in
                _ = try connection.execute("UPDATE deployment SET epoch = ? WHERE place = 1", [.integer(epoch)])
            }
            try? await configuration.withRedis(logger: logger) { redis in
                _ = try await redis.send(RedisCommand("SET", deployment.epochKey, "\(epoch)"))
                // What was lost is dealt with (`RowMemory`).
                _ = try await redis.send(RedisCommand("DEL", deployment.rowsKey))
            }
            return epoch
        }
    }

    package func withSearch(changes: Bool, _ body: (SearchUpkeep) async throws -> Void) async throws {
        try await withStore { try await body(SearchUpkeep($0)) }
    }

    package func withRemovals(_ body: (any TenantRemovals & SearchGenerations) async throws -> Void) async throws {
        try await withStore { store in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await store.redis.run() }
                defer { group.cancelAll() }
                do {
                    try await store.redis.waitUntilConnected(timeout: configuration.redis.connectTimeout + .seconds(1))
                } catch let error as RedisError {
                    throw StoreProblem("Redis (\(configuration.redis.description)) cannot be asked: \(error).")
                }
                try await body(store)
            }
        }
    }

    /// Opens the store for one task. Without Redis.
    private func withStore(_ body: (MySQLStore) async throws -> Void) async throws {
        do {
            let store = try await MySQLStore(configuration, logger: logger)
            let result: Result<Void, any Error>
            do { result = .success(try await body(store)) } catch { result = .failure(error) }
            for pool in [store.reads, store.writes, store.scans] { await pool.close() }
            try result.get()
        } catch let error as MySQLError {
            throw StoreProblem(connecting: error, to: location)
        }
    }

    package func close() {}

    /// Opens a connection for one task.
    private func withConnection<Result>(
        _ mysql: MySQLConfiguration, _ body: (MySQLConnection) async throws -> Result
    ) async throws -> Result {
        do {
            // DDL over a large table may take any time.
            var patient = mysql
            patient.readTimeout = .seconds(24 * 3600)
            let connection = try await MySQLConnection.connect(patient)
            do {
                let result = try await body(connection)
                await connection.close()
                return result
            } catch {
                await connection.close()
                throw error
            }
        } catch let error as MySQLError {
            throw StoreProblem(connecting: error, to: location)
        }
    }
}

extension StoreProblem {
    /// A driver's error in words for the command's user.
    init(connecting error: MySQLError, to location: String) {
        switch error.kind {
        case .unknownDatabase:
            self.init(
                "There is no such database: \(location). Create it with luciq db create.", isConfiguration: true)
        case .accessDenied: self.init("The database \(location) refuses this user or password.", isConfiguration: true)
        case .cannotConnect: self.init("Cannot connect to the database \(location): \(error.message).")
        case .connectionLost: self.init("The connection to the database \(location) was lost.")
        default: self.init("The database \(location) failed: \(error.message) (MySQL error \(error.number)).")
        }
    }
}
