import GRDB

/// Users of applications (`User`), and the keys of their tokens (`StoredTokenKey`; algorithm: 0 HS256, 1 EdDSA).
enum Migration0007Users {
    static let identifier = "0007-users"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE applications ADD COLUMN tokens_valid_after INTEGER;
                CREATE TABLE jwt_keys (
                    application_id INTEGER NOT NULL REFERENCES applications (id),
                    id TEXT NOT NULL,
                    algorithm INTEGER NOT NULL,
                    material BLOB NOT NULL,
                    created_at INTEGER NOT NULL,
                    retires_at INTEGER,
                    revoked_at INTEGER,
                    last_used_at INTEGER,
                    PRIMARY KEY (application_id, id)
                ) WITHOUT ROWID;
                CREATE TABLE users (
                    application_id INTEGER NOT NULL REFERENCES applications (id),
                    id TEXT NOT NULL,
                    name TEXT,
                    metadata TEXT,
                    created_at INTEGER NOT NULL,
                    blocked_at INTEGER,
                    valid_after INTEGER,
                    PRIMARY KEY (application_id, id)
                ) WITHOUT ROWID;
                """)
    }
}
