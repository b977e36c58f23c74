package import ChatCore
import GRDB

extension SQLiteStore {
    /// The migrations applied and pending, and the stored counts.
    ///
    /// - Throws: `StoreProblem` for another program's file; `ChatError.unavailable`.
    package func status() async throws -> StoreStatus {
        try await scan { [path = pool.path] db in
            _ = try FileOwner(db, path)
            let migrator = SQLiteMigrations.migrator
            let applied = try migrator.appliedMigrations(db)
            let isCreated = try db.tableExists("applications")
            let counts =
                isCreated
                ? try Row.fetchOne(
                    db,
                    sql:
                        "SELECT count(*), ifnull(sum(chats_count), 0), ifnull(sum(messages_count), 0) FROM applications"
                )
                : nil
            return StoreStatus(
                location: path,
                engine: "SQLite " + (try String.fetchOne(db, sql: "SELECT sqlite_version()") ?? ""),
                applied: applied,
                pending: migrator.migrations.filter { !applied.contains($0) },
                applications: counts?[0] ?? 0,
                chats: counts?[1] ?? 0,
                messages: counts?[2] ?? 0,
                epoch: try db.tableExists("cursor_epoch")
                    ? Int64.fetchOne(db, sql: "SELECT epoch FROM cursor_epoch") ?? 0 : 0
            )
        }
    }
}
