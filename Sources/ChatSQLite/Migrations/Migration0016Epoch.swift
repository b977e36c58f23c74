import GRDB

/// How often the file was restored to an earlier state, which a cursor names (`Backend.cursorEpoch`): one row.
enum Migration0016Epoch {
    static let identifier = "0016-epoch"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE cursor_epoch (place INTEGER PRIMARY KEY, epoch INTEGER NOT NULL);
                INSERT INTO cursor_epoch (place, epoch) VALUES (1, 0);
                """)
    }
}
