import ChatCore
import MySQLClient

/// Brings a database to the newest schema: creates it, or takes the Rails application's over with its rows.
///
/// MySQL commits after every DDL statement, so a step that was interrupted is taken again, and what it had made already
/// is passed over. A named lock keeps two processes from migrating at once.
struct Migrator: Sendable {
    /// A server's locks are common to its databases, and their names are 64 characters at most.
    private static let lock = "CONCAT('luciq_migrate_', MD5(DATABASE()))"
    /// ER_TABLE_EXISTS_ERROR, ER_DUP_FIELDNAME, ER_DUP_KEYNAME: an interrupted step got this far.
    private static let alreadyThere = [1050, 1060, 1061]

    /// A person's words for where it is.
    let location: String
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
        let schema = try await connection.perform { try Schema($0) }
        try schema.checkMayMigrate(location)
        // Rails wrote its numbers from MAX+1 over what Redis had counted, so Redis' are far ahead and mean nothing.
        if schema.isRailsAlone { try await forgetNumbers() }
        return try await connection.perform { connection in
            for migration in schema.pending { try Self.apply(migration, connection) }
            _ = try connection.first("SELECT RELEASE_LOCK(\(Self.lock))") { $0.integer(0) }
            return schema.pending.map(\.version)
        }
    }

    private static func apply(_ migration: Migration, _ connection: isolated MySQLConnection) throws {
        try connection.run(
            "CREATE TABLE IF NOT EXISTS schema_migrations (version VARCHAR(255) NOT NULL PRIMARY KEY) DEFAULT CHARSET = utf8mb4"
        )
        for statement in migration.statements(collation: collation(connection)) {
            do throws(MySQLError) {
                try connection.run(statement)
            } catch {
                guard alreadyThere.contains(error.number) else { throw error }
            }
        }
        try connection.execute("INSERT INTO schema_migrations (version) VALUES (?)", [.text(migration.version)])
    }

    /// MariaDB has no `utf8mb4_0900_ai_ci`; this is the nearest there.
    private static func collation(_ connection: MySQLConnection) -> String {
        connection.isMariaDB ? "utf8mb4_uca1400_nopad_ai_ci" : "utf8mb4_0900_ai_ci"
    }
}
