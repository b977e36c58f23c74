import GRDB

/// The cursors of log readers (`LogReaders`).
enum Migration0002LogCursors {
    static let identifier = "0002-log-cursors"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE log_cursors (
                    reader TEXT NOT NULL,
                    chat_id INTEGER NOT NULL,
                    number INTEGER NOT NULL,
                    PRIMARY KEY (reader, chat_id)
                ) WITHOUT ROWID;
                """)
    }
}
