import GRDB

/// `Chat.Receipts` of chats, and of an application for its new ones; and indexes for what must not cost more with the
/// number of chats and members: the open chats of an application, a user's rows by number, and the owners of a chat.
enum Migration0012Receipts {
    static let identifier = "0012-receipts"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE applications ADD COLUMN receipts INTEGER NOT NULL DEFAULT 0;
                ALTER TABLE chats ADD COLUMN receipts INTEGER NOT NULL DEFAULT 0;
                CREATE INDEX chats_open ON chats (application_id, number) WHERE access = 0;
                CREATE INDEX chat_members_of_user_by_number ON chat_members (application_id, user_id, chat_number);
                CREATE INDEX chat_members_owners ON chat_members (chat_id, user_id)
                    WHERE role = 0 AND removed_at IS NULL;
                """)
    }
}
