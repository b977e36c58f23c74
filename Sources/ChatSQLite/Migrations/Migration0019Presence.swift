import GRDB

/// Whether users of an application see which of the others are online: 0 off, 1 users.
enum Migration0019Presence {
    static let identifier = "0019-presence"

    static func migrate(_ db: Database) throws {
        try db.execute(sql: "ALTER TABLE applications ADD COLUMN presence INTEGER NOT NULL DEFAULT 0")
    }
}
