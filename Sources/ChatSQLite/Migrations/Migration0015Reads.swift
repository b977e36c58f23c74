import GRDB

/// How far users have read, and threads.
///
/// A row of `chat_reads` for a user and chat, moved by its marks. `thread_replies` has the replies of each thread by number,
/// so that a page of them needs no index on `messages`, which every create would have to maintain. `in_main` is NULL
/// for all but replies that stand in the main line too.
enum Migration0015Reads {
    static let identifier = "0015-reads"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE messages ADD COLUMN in_main INTEGER;
                CREATE TABLE chat_reads (
                    chat_id INTEGER NOT NULL,
                    user_id TEXT NOT NULL,
                    number INTEGER NOT NULL,
                    PRIMARY KEY (chat_id, user_id)
                ) WITHOUT ROWID;
                CREATE TABLE thread_replies (
                    chat_id INTEGER NOT NULL,
                    thread INTEGER NOT NULL,
                    number INTEGER NOT NULL,
                    PRIMARY KEY (chat_id, thread, number)
                ) WITHOUT ROWID;
                CREATE TABLE thread_heads (
                    chat_id INTEGER NOT NULL,
                    thread INTEGER NOT NULL,
                    reply_count INTEGER NOT NULL,
                    last_reply INTEGER NOT NULL,
                    PRIMARY KEY (chat_id, thread)
                ) WITHOUT ROWID;
                """)
    }
}
