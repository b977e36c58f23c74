package import ChatCore
import GRDB

extension SQLiteStore: AuditStore {
    /// Rows past their lifetime that each new one deletes.
    private static let expired: Int64 = 100
    private static let longestTarget = 255

    package func audit(of id: Tenant.PublicID, page: Page) async throws -> PageOf<AuditEntry> {
        try read(.audit) { db in
            let query = try Query(
                db,
                """
                SELECT id, created_at, principal, action, target, request_id, address FROM audit
                WHERE application = ? AND id > ? AND id < ? ORDER BY id \(page.walkOrder) LIMIT ?
                """,
                .text(id.text), .integer(page.lowerBound), .integer(page.upperBound), .integer(Int64(page.limit + 1)))
            var entries: [AuditEntry] = []
            while try query.next() {
                func text(_ column: CInt) -> String? { query.isNull(column) ? nil : query.text(column) }
                entries.append(
                    AuditEntry(
                        id: query.integer(0), at: Timestamp(microseconds: query.integer(1)), principal: query.text(2),
                        action: query.text(3), target: text(4), requestID: text(5), address: text(6)))
            }
            let isPreceded = try (page.walksUp ? page.after : page.before).map { start in
                try Query(
                    db, "SELECT 1 FROM audit WHERE application = ? AND id \(page.walksUp ? "<=" : ">=") ? LIMIT 1",
                    .text(id.text), .integer(start)
                ).next()
            }
            return PageOf(walked: entries, page: page, isPrecededBy: isPreceded ?? false)
        }
    }

    /// Writes a row of the audit; call it within the transaction of the change.
    static func write(_ record: AuditRecord, of tenant: Tenant.ID, at now: Timestamp, _ db: Database) throws {
        func value(_ text: String?) -> Query.Value { text.map { .text($0) } ?? .null }
        try Query(
            db,
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE created_at < ? ORDER BY created_at LIMIT ?)",
            .integer(now.adding(.zero - AuditEntry.lifetime).microseconds), .integer(expired)
        ).run()
        try Query(
            db,
            """
            INSERT INTO audit (application, created_at, principal, action, target, request_id, address)
            SELECT public_id, ?, ?, ?, ?, ?, ? FROM applications WHERE id = ?
            """,
            .integer(now.microseconds), .text(record.principal), .text(record.action.rawValue),
            value(record.target.map { String($0.prefix(longestTarget)) }), value(record.source?.requestID),
            value(record.source?.address), .integer(tenant.rawValue)
        ).run()
    }
}
