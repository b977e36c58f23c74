import GRDB

/// Whom messages and their replaced contents mention (`Mentions`). NULL: they never did.
enum Migration0017Mentions {
    static let identifier = "0017-mentions"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE messages ADD COLUMN mentions TEXT;
                ALTER TABLE message_versions ADD COLUMN mentions TEXT;
                """)
    }
}
