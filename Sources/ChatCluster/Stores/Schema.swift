import ChatCore
import MySQLClient

/// The state of a database's schema, compared with the migrations that this program knows.
struct Schema: Sendable {
    let applied: [String]
    /// Whether there are tables without a migration of ours.
    let isForeign: Bool

    var pending: [Migration] { Migration.all.filter { !applied.contains($0.version) } }
    private var unknown: [String] { applied.filter { version in !Migration.all.contains { $0.version == version } } }
    /// Whether only the Rails application has used the tables so far.
    var isRailsAlone: Bool {
        !applied.isEmpty && Migration.all.allSatisfy { $0.isRails == applied.contains($0.version) }
    }

    init(_ connection: isolated MySQLConnection) throws {
        let tables = try connection.rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
        ) { $0.text(0) }
        if tables.contains("schema_migrations") {
            self.applied = try connection.rows("SELECT version FROM schema_migrations ORDER BY version") { $0.text(0) }
        } else {
            self.applied = []
        }
        // The first step may have been interrupted between its table and its version.
        let taken =
            tables.contains("schema_migrations") ? ["chats", "messages"] : ["applications", "chats", "messages"]
        self.isForeign = applied.isEmpty && tables.contains { taken.contains($0) }
    }

    /// - Throws: `StoreProblem` unless the schema may be migrated.
    func checkMayMigrate(_ location: String) throws {
        if let newest = unknown.last {
            throw StoreProblem(
                "The database \(location) has a schema that this luciq does not know (\(newest)). Use the luciq that made it."
            )
        }
        if isForeign {
            throw StoreProblem(
                "The database \(location) has tables that are neither ours nor the Rails application's. Use an empty one."
            )
        }
    }

    /// - Throws: `StoreProblem` unless this program can serve it.
    func checkIsCurrent(_ location: String) throws {
        try checkMayMigrate(location)
        if !pending.isEmpty {
            throw StoreProblem(
                "The database \(location) is not up to date. Run luciq db migrate, or start with --migrate.")
        }
    }
}
