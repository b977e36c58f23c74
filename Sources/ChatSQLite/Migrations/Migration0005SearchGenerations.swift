import GRDB

/// The generations of the search engine's index (`SearchGenerations`).
enum Migration0005SearchGenerations {
    static let identifier = "0005-search-generations"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE search_generations (
                    state TEXT PRIMARY KEY NOT NULL,
                    id TEXT NOT NULL UNIQUE,
                    fold_version INTEGER NOT NULL,
                    marker INTEGER NOT NULL
                ) WITHOUT ROWID;
                """)
    }
}
