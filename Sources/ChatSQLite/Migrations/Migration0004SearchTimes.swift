import GRDB

/// The times of a block's messages. No earlier block has them, so all are dropped and made again. The long column is the
/// last one.
enum Migration0004SearchTimes {
    static let identifier = "0004-search-times"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                DROP TABLE search_blocks;
                DELETE FROM search_heads;
                CREATE TABLE search_blocks (
                    id INTEGER PRIMARY KEY,
                    chat_id INTEGER NOT NULL,
                    first INTEGER NOT NULL,
                    last INTEGER NOT NULL,
                    application_id INTEGER NOT NULL,
                    fold_version INTEGER NOT NULL,
                    count INTEGER NOT NULL,
                    oldest_at INTEGER NOT NULL,
                    newest_at INTEGER NOT NULL,
                    numbers BLOB NOT NULL,
                    times BLOB NOT NULL,
                    folded BLOB NOT NULL,
                    UNIQUE (chat_id, first),
                    CHECK (first >= 1 AND last >= first AND last < 9223372036854775807)
                );
                CREATE INDEX search_blocks_of_application ON search_blocks (
                    application_id, fold_version, newest_at, chat_id, first, last
                );
                """)
    }
}
