import ChatCore
import MySQLClient

extension MySQLStore: TenantStore {
    func identity(of name: Tenant.Name) async throws -> Tenant.Identity? {
        try await read(.applicationID) { connection in
            if case .publicID = name { return try Self.identity("public_id", name, connection) }
            return try Self.identity("token", name, connection) ?? Self.identity("old_token", name, connection)
        }
    }

    private static func identity(
        _ column: String, _ name: Tenant.Name, _ connection: isolated MySQLConnection
    ) throws -> Tenant.Identity? {
        let isOld = column == "old_token"
        return try connection.first(
            """
            SELECT id, token, path_token, suspended_at, rotated_at, old_token_until, limits, origins FROM applications
            WHERE \(column) = ? AND removed_at IS NULL
            """, [.text(name.text)]
        ) { row in
            Tenant.Token(row.text(1)).map { token in
                Tenant.Identity(
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

extension MySQLStore: TenantLog {
    func apply(
        _ batch: [TenantChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<Void, ChatError>] {
        var retry = Retry(patience: min(messageLog.patience, time))
        var mayBeStored = false
        while true {
            do throws(MySQLError) {
                return try await writes.run(within: retry.remaining) { connection in
                    try connection.transaction { try Self.apply(batch, at: now, $0) }
                }
            } catch {
                // Tokens are random: a duplicate is our own, from an attempt whose connection was lost.
                if error.isDuplicate, mayBeStored { return try await outcomes(of: batch) }
                if error.leavesInDoubt { mayBeStored = true }
                guard !error.isDuplicate, await retry.mayGoOn(after: error) else {
                    throw mayBeStored ? ChatError.outcomeUnknown : ChatError(driver: error)
                }
            }
        }
    }

    private static func apply(
        _ batch: [TenantChange], at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws -> [Result<Void, ChatError>] {
        try batch.map { try apply($0, at: now, connection) }
    }

    private static func apply(
        _ change: TenantChange, at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws -> Result<Void, ChatError> {
        switch change {
        case .create(let name, let token, let publicID, let pathToken):
            try connection.execute(
                """
                INSERT INTO applications (name, token, public_id, path_token, created_at, updated_at)
                VALUES (?, ?, ?, ?, ?, ?)
                """,
                [
                    .text(name), .text(token.text), .text(publicID.text), .integer(pathToken.rawValue),
                    .timestamp(now.microseconds), .timestamp(now.microseconds),
                ])
            return .success(())
        case .update(let id, let token, let name, let pathToken, let rules):
            guard try lock(id, token, connection) else { return .failure(.notFound) }
            try connection.execute(
                """
                UPDATE applications SET name = IFNULL(?, name), path_token = IFNULL(?, path_token), updated_at = ?
                WHERE id = ?
                """,
                [
                    name.map { .text($0) } ?? .null, pathToken.map { .integer($0.rawValue) } ?? .null,
                    .timestamp(now.microseconds), .integer(id.rawValue),
                ])
            if let rules { try set(rules, of: id, connection) }
            if pathToken != nil || rules != nil { try AccessChanges.record(nil, of: id, connection) }
            return .success(())
        case .addKey(let key, let token):
            // The application's lock makes the count exact.
            guard try lock(key.tenant, token, connection) else { return .failure(.notFound) }
            return try KeyTable.add(key, at: now, connection)
        case .revokeKey(let key, let tenant):
            return try KeyTable.revoke(key, of: tenant, at: now, connection)
        case .useKeys(let uses):
            try KeyTable.note(uses, connection)
            return .success(())
        case .users(let change, let id, let token):
            // Users come in crowds, and need no count.
            let isShared = if case .add = change { true } else { false }
            guard try lock(id, token, isShared: isShared, connection) else { return .failure(.notFound) }
            return try UserTable.apply(change, of: id, at: now, connection)
        case .useTokenKeys(let uses):
            try UserTable.note(uses, connection)
            return .success(())
        case .member(let change): return try MemberTable.apply(change, at: now, connection)
        case .chat(let update): return try MemberTable.apply(update, at: now, connection)
        case .rotate(let id, let token, let new, let oldUntil):
            guard try lock(id, token, connection) else { return .failure(.notFound) }
            // Assigned from left to right. A repeated transaction finds the new token, and changes nothing.
            try connection.execute(
                """
                UPDATE applications
                SET old_token = token, old_token_until = ?, rotated_at = ?, updated_at = ?, token = ?
                WHERE id = ? AND token <> ?
                """,
                [
                    .timestamp(oldUntil.microseconds), .timestamp(now.microseconds), .timestamp(now.microseconds),
                    .text(new.text), .integer(id.rawValue), .text(new.text),
                ])
            try AccessChanges.record(nil, of: id, connection)
            return .success(())
        case .suspend(let id, let token, let deletesAt):
            guard try lock(id, token, connection) else { return .failure(.notFound) }
            try connection.execute(
                """
                UPDATE applications SET suspended_at = IFNULL(suspended_at, ?), delete_at = IFNULL(delete_at, ?)
                WHERE id = ?
                """,
                [
                    .timestamp(now.microseconds), deletesAt.map { .timestamp($0.microseconds) } ?? .null,
                    .integer(id.rawValue),
                ])
            try AccessChanges.record(nil, of: id, connection)
            return .success(())
        case .resume(let id, let token):
            guard try lock(id, token, connection) else { return .failure(.notFound) }
            try connection.execute(
                "UPDATE applications SET suspended_at = NULL, delete_at = NULL WHERE id = ?",
                [.integer(id.rawValue)])
            try AccessChanges.record(nil, of: id, connection)
            return .success(())
        case .audited(let change, let record):
            if let tenant = change.lane, try !lock(Tenant.ID(tenant), nil, connection) {
                return .failure(.notFound)
            }
            let result = try apply(change, at: now, connection)
            guard case .success = result else { return result }
            if case .create(_, _, let publicID, _) = change {
                try AuditTable.write(record, ofNew: publicID, at: now, connection)
            } else if let tenant = change.lane {
                try AuditTable.write(record, of: Tenant.ID(tenant), at: now, connection)
            }
            return result
        }
    }

    /// - Parameter id: of a row that is locked.
    private static func set(
        _ change: RulesChange, of id: Tenant.ID, _ connection: isolated MySQLConnection
    ) throws {
        let before =
            try connection.first("SELECT limits, origins FROM applications WHERE id = ?", [.integer(id.rawValue)]) {
                TenantRow.rules($0, at: 0)
            } ?? nil
        let after = change.applied(to: before)
        try connection.execute(
            "UPDATE applications SET limits = ?, origins = ? WHERE id = ?",
            [
                after.storedLimits.map { .text($0) } ?? .null, after.storedOrigins.map { .text($0) } ?? .null,
                .integer(id.rawValue),
            ])
    }

    /// Locks the tenant's row.
    ///
    /// - Returns: false if there is none, or not with that token: on another server, the id may belong to another tenant.
    ///   The token of before is as good: this process may not know yet that it was replaced.
    private static func lock(
        _ id: Tenant.ID, _ token: Tenant.Token?, isShared: Bool = false, _ connection: isolated MySQLConnection
    ) throws -> Bool {
        let stored = try connection.first(
            """
            SELECT token, old_token FROM applications WHERE id = ? AND removed_at IS NULL
            \(isShared ? "LOCK IN SHARE MODE" : "FOR UPDATE")
            """,
            [.integer(id.rawValue)]
        ) { [$0.text(0), $0.text(1)] }
        guard let stored else { return false }
        return token.map { stored.contains($0.text) } ?? true
    }

    /// The outcomes of a batch that was committed without a confirmation.
    private func outcomes(of batch: [TenantChange]) async throws -> [Result<Void, ChatError>] {
        var outcomes: [Result<Void, ChatError>] = []
        for change in batch { outcomes.append(try await outcome(of: change)) }
        return outcomes
    }

    private func outcome(of change: TenantChange) async throws -> Result<Void, ChatError> {
        switch change {
        case .update(let id, _, _, _, _), .rotate(let id, _, _, _), .suspend(let id, _, _), .resume(let id, _):
            let isThere = try await read { connection in
                try connection.first(
                    "SELECT 1 FROM applications WHERE id = ? AND removed_at IS NULL", [.integer(id.rawValue)]
                ) { $0.integer(0) }
            }
            return isThere == nil ? .failure(.notFound) : .success(())
        case .addKey(let new, _):
            // Its application was there, and it was not one too many.
            return try await key(new.id) == nil ? .failure(.outcomeUnknown) : .success(())
        case .revokeKey(let id, let tenant):
            return try await key(id)?.tenant == tenant ? .success(()) : .failure(.notFound)
        case .create, .useKeys, .users, .useTokenKeys, .member, .chat: return .success(())
        case .audited(let change, _): return try await outcome(of: change)
        }
    }
}

/// A tenant's row, whose public id may be missing.
private struct TenantRow {
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

    /// - Parameter column: of the limits; the origins follow.
    static func rules(_ row: borrowing MySQLRow, at column: Int) -> TenantRules? {
        TenantRules(
            storedLimits: row.isNull(column) ? nil : row.text(column),
            origins: row.isNull(column + 1) ? nil : row.text(column + 1))
    }

    /// - Parameter rest: of the statement; in the order of the ids.
    static func read(
        _ rest: String, _ parameters: [MySQLValue], _ connection: isolated MySQLConnection
    ) throws -> [TenantRow] {
        var rows = try connection.rows(
            """
            SELECT id, token, public_id, path_token, name, created_at, suspended_at, delete_at, limits, origins
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
