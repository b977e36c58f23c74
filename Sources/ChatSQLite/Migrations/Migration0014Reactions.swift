import GRDB

/// Reactions to messages, and pins. A message's row has the summary of its reactions (`ReactionSummary`); NULL: none.
enum Migration0014Reactions {
    static let identifier = "0014-reactions"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE messages ADD COLUMN reactions TEXT;
                CREATE TABLE message_reactions (
                    chat_id INTEGER NOT NULL,
                    number INTEGER NOT NULL,
                    user_id TEXT NOT NULL,
                    name TEXT NOT NULL,
                    revision INTEGER NOT NULL,
                    PRIMARY KEY (chat_id, number, user_id, name)
                ) WITHOUT ROWID;
                CREATE INDEX message_reactions_by_name ON message_reactions (chat_id, number, name, revision);
                CREATE TABLE pins (
                    chat_id INTEGER NOT NULL,
                    number INTEGER NOT NULL,
                    pinned_by TEXT,
                    pinned_at INTEGER NOT NULL,
                    PRIMARY KEY (chat_id, number)
                ) WITHOUT ROWID;
                """)
    }
}
