import ChatCore
import MySQLClient

/// The rows of the audit.
enum AuditTable {
    /// Rows past their lifetime that each new one deletes.
    private static let expired = 100
    private static let longestTarget = 255
    /// For FROM. MariaDB by itself walks to a page from an end of the application's rows (see `NumberedTable.byNumber`).
    static let byApplication = "audit FORCE INDEX (index_audit_on_application)"

    /// Writes a row; call it within the transaction of the change, which has locked the application's audit
    /// (`TenantLocks`).
    static func write(
        _ record: AuditRecord, of tenant: Tenant.ID, at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws {
        try trim(at: now, connection)
        let place = MySQLValue.integer(tenant.rawValue)
        if try insert(record, where: "id = ? AND public_id IS NOT NULL", place, at: now, connection) { return }
        // Of the Rails application, or of a server of before.
        try PublicIDs.give(to: [tenant], connection)
        _ = try insert(record, where: "id = ? AND public_id IS NOT NULL", place, at: now, connection)
    }

    /// The same for a tenant that this transaction makes.
    static func write(
        _ record: AuditRecord, ofNew tenant: Tenant.PublicID, at now: Timestamp,
        _ connection: isolated MySQLConnection
    ) throws {
        try trim(at: now, connection)
        _ = try insert(record, where: "public_id = ?", .text(tenant.text), at: now, connection)
    }

    private static func trim(at now: Timestamp, _ connection: isolated MySQLConnection) throws {
        try connection.execute(
            "DELETE FROM audit WHERE created_at < ? LIMIT \(expired)",
            [.timestamp(now.adding(.zero - AuditEntry.lifetime).microseconds)])
    }

    /// - Returns: whether there is such an application.
    private static func insert(
        _ record: AuditRecord, where condition: String, _ place: MySQLValue, at now: Timestamp,
        _ connection: isolated MySQLConnection
    ) throws -> Bool {
        func value(_ text: String?) -> MySQLValue { text.map { .text($0) } ?? .null }
        return try connection.execute(
            """
            INSERT INTO audit (application, created_at, principal, action, target, request_id, address, nonce)
            SELECT public_id, ?, ?, ?, ?, ?, ?, ? FROM applications WHERE \(condition)
            """,
            [
                .timestamp(now.microseconds), .text(record.principal), .text(record.action.rawValue),
                value(record.target.map { String($0.prefix(longestTarget)) }), value(record.source?.requestID),
                value(record.source?.address), .integer(record.nonce), place,
            ]
        ).affectedRows == 1
    }
}

extension MySQLStore: AuditStore {
    func audit(of id: Tenant.PublicID, page: Page) async throws -> PageOf<AuditEntry> {
        try await read(.audit) { connection in
            let entries = try connection.rows(
                """
                SELECT id, created_at, principal, action, target, request_id, address FROM \(AuditTable.byApplication)
                WHERE application = ? AND id > ? AND id < ? ORDER BY id \(page.walksUp ? "ASC" : "DESC") LIMIT ?
                """,
                [
                    .text(id.text), .integer(page.lowerBound), .integer(page.upperBound),
                    .integer(Int64(page.limit + 1)),
                ]
            ) { row in
                AuditEntry(
                    id: row.integer(0), at: Timestamp(microseconds: row.timestamp(1)), principal: row.text(2),
                    action: row.text(3), target: row.isNull(4) ? nil : row.text(4),
                    requestID: row.isNull(5) ? nil : row.text(5), address: row.isNull(6) ? nil : row.text(6))
            }
            let isPreceded = try (page.walksUp ? page.after : page.before).map { start in
                try connection.first(
                    """
                    SELECT 1 FROM \(AuditTable.byApplication)
                    WHERE application = ? AND id \(page.walksUp ? "<=" : ">=") ? LIMIT 1
                    """, [.text(id.text), .integer(start)]
                ) { $0.integer(0) } != nil
            }
            return PageOf(walked: entries, page: page, isPrecededBy: isPreceded ?? false)
        }
    }
}
