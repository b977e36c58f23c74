import ChatCore
import MySQLClient

/// Migrates a database to the newest schema: creates the tables, or takes over the Rails application's with their rows.
///
/// A named lock keeps two processes from migrating at once, but not on two nodes of a Galera cluster, where each node
/// has its own lock. So a step may run twice, and also after an interruption. Its DDL, which MySQL commits statement by
/// statement, skips existing objects. The rows that it changes are committed together with its version, which only one
/// process can store.
struct Migrator: Sendable {
    /// All databases of a server share its locks, whose names have at most 64 characters.
    private static let lock = "CONCAT('luciq_migrate_', MD5(DATABASE()))"
    /// ER_TABLE_EXISTS_ERROR, ER_DUP_FIELDNAME, ER_DUP_KEYNAME: an interrupted step got this far.
    private static let alreadyThere = [1050, 1060, 1061]
    /// ER_PARSE_ERROR, ER_UNKNOWN_ERROR (Vitess), ER_NOT_SUPPORTED_YET, TiDB's own: the server does not support it.
    private static let unsupported = [1064, 1105, 1235, 8200]

    /// The database's location, for people.
    let location: String
    /// How often the lock's connection is pinged during long work: the server closes an idle one after a minute
    /// (`wait_timeout`), and so do proxies; then the lock is lost.
    var heartbeat = Duration.seconds(10)
    /// Called before rows of the Rails application are taken over, outside any transaction.
    let forgetNumbers: @Sendable () async throws -> Void

    /// - Returns: the versions applied now.
    /// - Throws: `StoreProblem`, `MySQLError`.
    func migrate(_ connection: MySQLConnection) async throws -> [String] {
        let isLocked = try await connection.perform { connection in
            try connection.first("SELECT GET_LOCK(\(Self.lock), 60)") { $0.integer(0) } == 1
        }
        guard isLocked else {
            throw StoreProblem("Another process has been migrating \(location) for a minute; try again later.")
        }
        let schema = try await connection.perform { connection in try Self.undisturbed { try Schema(connection) } }
        try schema.checkMayMigrate(location)
        // Rails replaced Redis' numbers by MAX+1 in the database, so Redis' counters are far ahead and meaningless.
        if schema.isRailsAlone { try await keepingLock(of: connection, forgetNumbers) }
        return try await connection.perform { connection in
            let applied = try schema.pending.filter { migration in
                try Self.undisturbed { try Self.apply(migration, connection) }
            }
            _ = try connection.first("SELECT RELEASE_LOCK(\(Self.lock))") { $0.integer(0) }
            return applied.map(\.version)
        }
    }

    /// - Throws: `MySQLError` if the connection is lost, and with it the lock; then the body is cancelled.
    private func keepingLock(
        of connection: MySQLConnection, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await body() }
            tasks.addTask { [heartbeat] in
                while true {
                    try await Task.sleep(for: heartbeat)
                    try await connection.ping()
                }
            }
            defer { tasks.cancelAll() }
            try await tasks.next()
        }
    }

    /// - Returns: false if another migrator has applied it meanwhile.
    static func apply(_ migration: Migration, _ connection: isolated MySQLConnection) throws -> Bool {
        try connection.run(
            "CREATE TABLE IF NOT EXISTS schema_migrations (version VARCHAR(255) NOT NULL PRIMARY KEY) DEFAULT CHARSET = utf8mb4"
        )
        let statements = migration.statements(collation: collation(connection))
        for statement in statements where !changesRows(statement) {
            do throws(MySQLError) {
                try connection.run(statement)
            } catch {
                guard
                    alreadyThere.contains(error.number)
                        || migration.isOptional && unsupported.contains(error.number)
                else { throw error }
            }
        }
        do {
            try connection.transaction { connection in
                try connection.execute(
                    "INSERT INTO schema_migrations (version) VALUES (?)", [.text(migration.version)])
                for statement in statements where changesRows(statement) { try connection.run(statement) }
            }
            return true
        } catch let error as MySQLError where error.isDuplicate {
            return false
        }
    }

    /// Retries statements that another Galera node's DDL or commit has aborted.
    static func undisturbed<Result>(_ body: () throws -> Result) throws -> Result {
        for _ in 0..<20 {
            do {
                return try body()
            } catch let error as MySQLError {
                switch error.kind {
                case .deadlock, .interrupted: continue
                default: throw error
                }
            }
        }
        return try body()
    }

    private static func changesRows(_ statement: String) -> Bool {
        statement.hasPrefix("UPDATE ") || statement.hasPrefix("INSERT ")
    }

    /// MariaDB has no `utf8mb4_0900_ai_ci`; this is the most similar one.
    private static func collation(_ connection: MySQLConnection) -> String {
        connection.isMariaDB ? "utf8mb4_uca1400_nopad_ai_ci" : "utf8mb4_0900_ai_ci"
    }
}
