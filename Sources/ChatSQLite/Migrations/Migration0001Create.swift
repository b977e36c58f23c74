import GRDB

/// The tables, named like the cluster's.
///
/// `messages` is clustered by (chat, number), so that the rows of a page are neighbours; see
/// docs/decisions/0002-sqlite-tables.md. Times are microseconds since 1970.
enum Migration0001Create {
    static let identifier = "0001-create"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE applications (
                    id INTEGER PRIMARY KEY,
                    name TEXT NOT NULL,
                    token TEXT NOT NULL UNIQUE,
                    chats_count INTEGER NOT NULL DEFAULT 0,
                    messages_count INTEGER NOT NULL DEFAULT 0,
                    last_chat_number INTEGER NOT NULL DEFAULT 0,
                    created_at INTEGER NOT NULL,
                    updated_at INTEGER NOT NULL
                );
                CREATE TABLE chats (
                    id INTEGER PRIMARY KEY,
                    application_id INTEGER NOT NULL REFERENCES applications (id),
                    number INTEGER NOT NULL,
                    messages_count INTEGER NOT NULL DEFAULT 0,
                    last_message_number INTEGER NOT NULL DEFAULT 0,
                    created_at INTEGER NOT NULL,
                    updated_at INTEGER NOT NULL,
                    UNIQUE (application_id, number)
                );
                CREATE TABLE messages (
                    chat_id INTEGER NOT NULL,
                    number INTEGER NOT NULL,
                    body TEXT NOT NULL,
                    created_at INTEGER NOT NULL,
                    PRIMARY KEY (chat_id, number)
                ) WITHOUT ROWID;
                CREATE TABLE idempotency_keys (
                    scope TEXT NOT NULL,
                    scope_id INTEGER NOT NULL,
                    key TEXT NOT NULL,
                    fingerprint BLOB NOT NULL,
                    number INTEGER NOT NULL,
                    created_at INTEGER NOT NULL,
                    PRIMARY KEY (scope, scope_id, key)
                ) WITHOUT ROWID;
                CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
                """)
    }
}
