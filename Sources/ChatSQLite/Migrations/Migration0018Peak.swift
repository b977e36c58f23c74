import GRDB

/// The highest number that a user has ever read, where it is above `number`, since the user has marked messages unread: what
/// the others were told. NULL for all others.
enum Migration0018Peak {
    static let identifier = "0018-peak"

    static func migrate(_ db: Database) throws {
        try db.execute(sql: "ALTER TABLE chat_reads ADD COLUMN peak INTEGER")
    }
}
