import ChatCore
import GRDB

/// Public ids of applications, what their tokens are worth (`Tenant.PathToken`), and their keys (`ApplicationKey`).
enum Migration0006Access {
    static let identifier = "0006-access"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE applications ADD COLUMN public_id TEXT;
                ALTER TABLE applications ADD COLUMN path_token INTEGER NOT NULL DEFAULT 0;
                CREATE TABLE application_keys (
                    id TEXT PRIMARY KEY,
                    application_id INTEGER NOT NULL REFERENCES applications (id),
                    name TEXT NOT NULL,
                    digest BLOB NOT NULL,
                    scopes INTEGER NOT NULL,
                    created_at INTEGER NOT NULL,
                    expires_at INTEGER,
                    last_used_at INTEGER,
                    revoked_at INTEGER
                ) WITHOUT ROWID;
                CREATE INDEX application_keys_of_application ON application_keys (application_id, created_at);
                """)
        for id in try Int64.fetchAll(db, sql: "SELECT id FROM applications") {
            try db.execute(
                sql: "UPDATE applications SET public_id = ? WHERE id = ?",
                arguments: [Tenant.PublicID.random().text, id])
        }
        try db.execute(sql: "CREATE UNIQUE INDEX applications_public_id ON applications (public_id)")
    }
}
