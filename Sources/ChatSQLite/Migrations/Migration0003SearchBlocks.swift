import GRDB

/// The search index (`SearchIndex`). The long column is the last one, so that reading the others does not touch it. The
/// second index has all that tells which chats of an application are whole, and the order of its blocks.
enum Migration0003SearchBlocks {
    static let identifier = "0003-search-blocks"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
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
                    folded BLOB NOT NULL,
                    UNIQUE (chat_id, first),
                    CHECK (first >= 1 AND last >= first AND last < 9223372036854775807)
                );
                CREATE INDEX search_blocks_of_application ON search_blocks (
                    application_id, fold_version, newest_at, chat_id, first, last
                );
                CREATE TABLE search_heads (
                    chat_id INTEGER PRIMARY KEY,
                    indexed_to INTEGER NOT NULL,
                    edits INTEGER NOT NULL
                );
                """)
    }
}
