import GRDB

/// What applications set for their requests (`TenantRules`).
enum Migration0011Rules {
    static let identifier = "0011-rules"

    static func migrate(_ db: Database) throws {
        try db.execute(
            sql: """
                ALTER TABLE applications ADD COLUMN limits TEXT;
                ALTER TABLE applications ADD COLUMN origins TEXT;
                """)
    }
}
