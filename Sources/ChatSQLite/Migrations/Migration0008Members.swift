import GRDB

/// Who says a message (`MessageContent.sender`): NULL where nobody was named.
enum Migration0008Members {
    static let identifier = "0008-members"

    static func migrate(_ db: Database) throws { try db.execute(sql: "ALTER TABLE messages ADD COLUMN sender TEXT") }
}
