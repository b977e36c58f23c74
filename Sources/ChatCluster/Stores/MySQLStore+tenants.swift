import ChatCore
import MySQLClient

extension MySQLStore: TenantStore {
    func identity(of name: Tenant.Name) async throws -> Tenant.Identity? {
        try await read(.applicationID) { connection in
            if case .publicID = name { return try Self.identity(["public_id"], name, connection) }
            return try Self.identity(["token", "old_token"], name, connection)
        }
    }

    /// In one statement, whatever the name is of.
    private static func identity(
        _ columns: [String], _ name: Tenant.Name, _ connection: isolated MySQLConnection
    ) throws -> Tenant.Identity? {
        let parts = columns.map { column in
            """
            SELECT id, token, path_token, suspended_at, rotated_at, old_token_until, limits, origins, \
            receipts, presence, '\(column)' = 'old_token' FROM applications WHERE \(column) = ? AND removed_at IS NULL
            """
        }
        return try connection.first(
            parts.joined(separator: " UNION ALL "), Array(repeating: .text(name.text), count: parts.count)
        ) { row in
            Tenant.Token(row.text(1)).map { token in
                let isOld = row.integer(10) != 0
                return Tenant.Identity(
                    id: Tenant.ID(row.integer(0)), token: token, pathToken: Tenant.PathToken(stored: row.integer(2)),
                    isSuspended: !row.isNull(3),
                    deprecation: isOld
                        ? Tenant.Deprecation(
                            since: Timestamp(microseconds: row.timestamp(4)),
                            until: Timestamp(microseconds: row.timestamp(5)))
                        : nil,
                    rules: TenantRow.rules(row, at: 6))
            }
        } ?? nil
    }

    func tenant(_ id: Tenant.ID) async throws -> Tenant? {
        try await named(limit: 1) { store in
            try await store.read(.application) { connection in
                try TenantRow.read("WHERE id = ? AND removed_at IS NULL", [.integer(id.rawValue)], connection)
            }
        }.tenants.first
    }

    func tenants(
        after publicID: Tenant.PublicID?, limit: Int
    ) async throws -> (tenants: [Tenant], hasMore: Bool)? {
        var start: Int64 = 0
        if let publicID {
            guard let identity = try await identity(of: .publicID(publicID)) else { return nil }
            start = identity.id.rawValue
        }
        return try await named(limit: limit) { [start] store in
            try await store.read(.applications) { connection in
                try TenantRow.read(
                    "WHERE id > ? AND removed_at IS NULL ORDER BY id LIMIT ?",
                    [.integer(start), .integer(Int64(limit) + 1)], connection)
            }
        }
    }

    /// Reads tenants; gives those without a public id one first, and reads them again.
    private func named(
        limit: Int, _ read: (MySQLStore) async throws -> [TenantRow]
    ) async throws -> (tenants: [Tenant], hasMore: Bool) {
        func page(_ rows: [TenantRow]) -> (tenants: [Tenant], hasMore: Bool) {
            (rows.prefix(limit).compactMap(\.tenant), rows.count > limit)
        }
        let rows = try await read(self)
        let nameless = rows.filter { $0.publicID == nil }.map(\.id)
        guard !nameless.isEmpty else { return page(rows) }
        do {
            try await writes.withConnection(timeout: messageLog.patience) { connection in
                try PublicIDs.give(to: nameless, connection)
            }
        } catch let error as MySQLError {
            throw ChatError(driver: error)
        }
        return page(try await read(self))
    }

    /// The sum of the application's stripes: exact, because each append adds to one in its own transaction.
    func messageCount(of id: Tenant.ID) async throws -> Int64? {
        try await read(.applicationMessageCount) { connection in
            try connection.first(
                """
                SELECT (SELECT CAST(SUM(messages) AS SIGNED) FROM application_counts WHERE application_id = applications.id)
                FROM applications WHERE id = ?
                """, [.integer(id.rawValue)]
            ) { $0.integer(0) }
        }
    }
}

/// A tenant's row, whose public id may be missing.
struct TenantRow {
    let id: Tenant.ID
    let publicID: Tenant.PublicID?
    private let token: Tenant.Token?
    private let pathToken: Tenant.PathToken
    private let rules: TenantRules?
    private let name: String
    private let createdAt: Timestamp
    private let suspendedAt: Timestamp?
    private let deletesAt: Timestamp?
    private var chats: Int64 = 0
    private var messages: Int64 = 0

    private init(_ row: borrowing MySQLRow) {
        id = Tenant.ID(row.integer(0))
        token = Tenant.Token(row.text(1))
        publicID = row.isNull(2) ? nil : Tenant.PublicID(row.text(2))
        pathToken = Tenant.PathToken(stored: row.integer(3))
        name = row.text(4)
        createdAt = Timestamp(microseconds: row.timestamp(5))
        suspendedAt = row.isNull(6) ? nil : Timestamp(microseconds: row.timestamp(6))
        deletesAt = row.isNull(7) ? nil : Timestamp(microseconds: row.timestamp(7))
        rules = Self.rules(row, at: 8)
    }

    /// - Parameter column: of the limits; the origins, the receipts and the presence follow.
    static func rules(_ row: borrowing MySQLRow, at column: Int) -> TenantRules? {
        TenantRules(
            storedLimits: row.isNull(column) ? nil : row.text(column),
            origins: row.isNull(column + 1) ? nil : row.text(column + 1), receipts: row.integer(column + 2),
            presence: row.integer(column + 3))
    }

    /// - Parameter rest: of the statement; in the order of the ids.
    static func read(
        _ rest: String, _ parameters: [MySQLValue], _ connection: isolated MySQLConnection
    ) throws -> [TenantRow] {
        var rows = try connection.rows(
            """
            SELECT id, token, public_id, path_token, name, created_at, suspended_at, delete_at, limits, origins, receipts,
                presence
            FROM applications \(rest)
            """, parameters
        ) { row in TenantRow(row) }
        guard let first = rows.first, let last = rows.last else { return [] }
        // An application's counts are the sum of its stripes; those of a page lie side by side.
        var counts: [Int64: (chats: Int64, messages: Int64)] = [:]
        let stripes =
            rows.count == 1
            ? "application_counts WHERE application_id = ?"
            : "application_counts FORCE INDEX (PRIMARY) WHERE application_id BETWEEN ? AND ?"
        let ends = rows.count == 1 ? [first.id] : [first.id, last.id]
        try connection.query(
            "SELECT application_id, chats, messages FROM \(stripes)", ends.map { .integer($0.rawValue) }
        ) { row in
            let sum = counts[row.integer(0)] ?? (0, 0)
            counts[row.integer(0)] = (sum.chats + row.integer(1), sum.messages + row.integer(2))
            return true
        }
        for index in rows.indices {
            guard let count = counts[rows[index].id.rawValue] else { continue }
            (rows[index].chats, rows[index].messages) = count
        }
        return rows
    }

    /// Nil without a public id, or a token of the right form.
    var tenant: Tenant? {
        guard let publicID, let token else { return nil }
        return Tenant(
            id: id,
            token: token,
            publicID: publicID,
            pathToken: pathToken,
            rules: rules,
            name: name,
            chatsCount: chats,
            messagesCount: messages,
            createdAt: createdAt,
            suspendedAt: suspendedAt,
            deletesAt: deletesAt
        )
    }
}
