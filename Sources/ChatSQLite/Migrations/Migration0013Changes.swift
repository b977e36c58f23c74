import GRDB

/// What can change: the metadata of messages, their place in threads, edits and deletions; and for each chat the order of
/// these changes (`ChangedItem`).
///
/// A row of `chat_heads` is there from the first change of its chat on, so that a create costs none. The index over
/// `revision` has all columns of `chat_changes`. A revision that is NULL counts as 0.
enum Migration0013Changes {
    static let identifier = "0013-changes"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE messages ADD COLUMN metadata TEXT;
                ALTER TABLE messages ADD COLUMN thread INTEGER;
                ALTER TABLE messages ADD COLUMN reply_to INTEGER;
                ALTER TABLE messages ADD COLUMN edited_at INTEGER;
                ALTER TABLE messages ADD COLUMN deleted_at INTEGER;
                ALTER TABLE messages ADD COLUMN deleted_by TEXT;
                ALTER TABLE messages ADD COLUMN content_revision INTEGER;
                ALTER TABLE messages ADD COLUMN reactions_revision INTEGER;
                CREATE TABLE chat_heads (
                    chat_id INTEGER PRIMARY KEY,
                    revision INTEGER NOT NULL,
                    deleted_count INTEGER NOT NULL
                );
                CREATE TABLE chat_changes (
                    chat_id INTEGER NOT NULL,
                    kind INTEGER NOT NULL,
                    item INTEGER NOT NULL,
                    user_id TEXT NOT NULL,
                    revision INTEGER NOT NULL,
                    PRIMARY KEY (chat_id, kind, item, user_id),
                    UNIQUE (chat_id, revision)
                ) WITHOUT ROWID;
                CREATE TABLE message_versions (
                    chat_id INTEGER NOT NULL,
                    number INTEGER NOT NULL,
                    revision INTEGER NOT NULL,
                    body TEXT NOT NULL,
                    metadata TEXT,
                    created_at INTEGER NOT NULL,
                    replaced_at INTEGER NOT NULL,
                    PRIMARY KEY (chat_id, number, revision)
                ) WITHOUT ROWID;
                CREATE INDEX message_versions_replaced_at ON message_versions (replaced_at);
                """)
    }
}
