import GRDB

/// Rotation, suspension and deletion of applications, and the audit.
///
/// `audit` calls an application by its public id: its rows stay when the application is gone. A row of `removals` is a
/// deletion that has begun. `id_floors` holds the highest ids that were deleted: SQLite would give them again.
enum Migration0009Lifecycle {
    static let identifier = "0009-lifecycle"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE applications ADD COLUMN old_token TEXT;
                ALTER TABLE applications ADD COLUMN old_token_until INTEGER;
                ALTER TABLE applications ADD COLUMN rotated_at INTEGER;
                ALTER TABLE applications ADD COLUMN suspended_at INTEGER;
                ALTER TABLE applications ADD COLUMN delete_at INTEGER;
                ALTER TABLE applications ADD COLUMN removed_at INTEGER;
                CREATE INDEX applications_old_token ON applications (old_token) WHERE old_token IS NOT NULL;
                CREATE INDEX applications_delete_at ON applications (delete_at) WHERE delete_at IS NOT NULL;
                CREATE TABLE audit (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    application TEXT NOT NULL,
                    created_at INTEGER NOT NULL,
                    principal TEXT NOT NULL,
                    action TEXT NOT NULL,
                    target TEXT,
                    request_id TEXT,
                    address TEXT
                );
                CREATE INDEX audit_of_application ON audit (application, id);
                CREATE INDEX audit_created_at ON audit (created_at);
                CREATE TABLE removals (
                    application_id INTEGER PRIMARY KEY,
                    application TEXT NOT NULL,
                    began_at INTEGER NOT NULL,
                    emptied_at INTEGER
                );
                CREATE TABLE id_floors (
                    name TEXT PRIMARY KEY NOT NULL,
                    id INTEGER NOT NULL
                ) WITHOUT ROWID;
                CREATE INDEX log_cursors_of_chat ON log_cursors (chat_id);
                INSERT INTO id_floors (name, id) VALUES ('applications', 0), ('chats', 0);
                """)
    }
}
