import GRDB

/// Who says a message (`MessageContent.sender`), the settings of chats (`Chat.Settings`), and their members (`Member`).
enum Migration0008Members {
    static let identifier = "0008-members"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE messages ADD COLUMN sender TEXT;
                ALTER TABLE chats ADD COLUMN name TEXT;
                ALTER TABLE chats ADD COLUMN metadata TEXT;
                ALTER TABLE chats ADD COLUMN access INTEGER NOT NULL DEFAULT 0;
                ALTER TABLE chats ADD COLUMN history INTEGER NOT NULL DEFAULT 0;
                CREATE TABLE chat_members (
                    application_id INTEGER NOT NULL,
                    chat_id INTEGER NOT NULL,
                    chat_number INTEGER NOT NULL,
                    user_id TEXT NOT NULL,
                    role INTEGER NOT NULL,
                    from_number INTEGER NOT NULL,
                    to_number INTEGER,
                    created_at INTEGER NOT NULL,
                    removed_at INTEGER,
                    PRIMARY KEY (chat_id, user_id)
                ) WITHOUT ROWID;
                CREATE INDEX chat_members_of_chat ON chat_members (chat_id, removed_at, user_id);
                CREATE INDEX chat_members_of_user ON chat_members (application_id, user_id, removed_at, chat_number);
                """)
    }
}
