package import ChatCore
import GRDB

extension SQLiteStore: TenantStore {
    package func identity(of name: Tenant.Name) async throws -> Tenant.Identity? {
        try read(.applicationID) { db in
            if case .publicID = name { return try Self.identity([Self.identity(by: "public_id")], name, db) }
            return try Self.identity([Self.identity(by: "token"), Self.identity(by: "old_token")], name, db)
        }
    }

    private static func identity(by column: String) -> String {
        """
        SELECT id, token, path_token, suspended_at, rotated_at, old_token_until, limits, origins, receipts, presence, \
        '\(column)' = 'old_token' FROM applications WHERE \(column) = ? AND removed_at IS NULL
        """
    }

    /// In one statement, whatever the name is of.
    private static func identity(
        _ parts: [String], _ name: Tenant.Name, _ db: some StatementSource
    ) throws -> Tenant.Identity? {
        let names = Array(repeating: Query.Value.text(name.text), count: parts.count)
        let query = try Query(db, parts.joined(separator: " UNION ALL "), values: names)
        guard try query.next(), let token = Tenant.Token(query.text(1)) else { return nil }
        let isOld = query.integer(10) != 0
        return Tenant.Identity(
            id: Tenant.ID(query.integer(0)), token: token, pathToken: Tenant.PathToken(stored: query.integer(2)),
            isSuspended: !query.isNull(3),
            deprecation: isOld
                ? Tenant.Deprecation(
                    since: Timestamp(microseconds: query.integer(4)), until: Timestamp(microseconds: query.integer(5)))
                : nil,
            rules: rules(query, at: 6))
    }

    /// - Parameter column: of the limits; the origins, the receipts and the presence follow.
    private static func rules(_ row: borrowing Query, at column: CInt) -> TenantRules? {
        TenantRules(
            storedLimits: row.isNull(column) ? nil : row.text(column),
            origins: row.isNull(column + 1) ? nil : row.text(column + 1), receipts: row.integer(column + 2),
            presence: row.integer(column + 3))
    }

    private static let columns = """
        id, token, public_id, path_token, name, chats_count, messages_count, created_at, suspended_at, delete_at, limits, \
        origins, receipts, presence
        """

    /// - Parameter row: of `columns`.
    private static func tenant(_ row: borrowing Query) -> Tenant? {
        guard let token = Tenant.Token(row.text(1)), let publicID = Tenant.PublicID(row.text(2)) else { return nil }
        return Tenant(
            id: Tenant.ID(row.integer(0)),
            token: token,
            publicID: publicID,
            pathToken: Tenant.PathToken(stored: row.integer(3)),
            rules: rules(row, at: 10),
            name: row.text(4),
            chatsCount: row.integer(5),
            messagesCount: row.integer(6),
            createdAt: Timestamp(microseconds: row.integer(7)),
            suspendedAt: row.isNull(8) ? nil : Timestamp(microseconds: row.integer(8)),
            deletesAt: row.isNull(9) ? nil : Timestamp(microseconds: row.integer(9))
        )
    }

    package func tenant(_ id: Tenant.ID) async throws -> Tenant? {
        try read(.application) { db in
            let query = try Query(
                db, "SELECT \(Self.columns) FROM applications WHERE id = ? AND removed_at IS NULL",
                .integer(id.rawValue))
            return try query.next() ? Self.tenant(query) : nil
        }
    }

    package func tenants(
        after publicID: Tenant.PublicID?, limit: Int
    ) async throws -> (tenants: [Tenant], hasMore: Bool)? {
        try read(.applications) { db in
            var start: Int64 = 0
            if let publicID {
                let query = try Query(
                    db, "SELECT id FROM applications WHERE public_id = ?", .text(publicID.text))
                guard try query.next() else { return nil }
                start = query.integer(0)
            }
            let query = try Query(
                db,
                "SELECT \(Self.columns) FROM applications WHERE id > ? AND removed_at IS NULL ORDER BY id LIMIT ?",
                .integer(start), .integer(Int64(limit) + 1))
            var tenants: [Tenant] = []
            for _ in 0..<limit {
                guard try query.next() else { return (tenants, false) }
                if let tenant = Self.tenant(query) { tenants.append(tenant) }
            }
            return (tenants, try query.next())
        }
    }

    package func messageCount(of id: Tenant.ID) async throws -> Int64? {
        try read(.applicationMessageCount) { db in
            let query = try Query(
                db, "SELECT messages_count FROM applications WHERE id = ?", .integer(id.rawValue))
            return try query.next() ? query.integer(0) : nil
        }
    }
}

extension SQLiteStore: TenantLog {
    private static func set(_ change: RulesChange, of id: Tenant.ID, _ db: Database) throws {
        let query = try Query(
            db, "SELECT limits, origins, receipts, presence FROM applications WHERE id = ?", .integer(id.rawValue))
        let before = try query.next() ? rules(query, at: 0) : nil
        let after = change.applied(to: before)
        try Query(
            db, "UPDATE applications SET limits = ?, origins = ?, receipts = ?, presence = ? WHERE id = ?",
            after.storedLimits.map { .text($0) } ?? .null, after.storedOrigins.map { .text($0) } ?? .null,
            .integer(after.receipts.rawValue), .integer(after.presence.rawValue), .integer(id.rawValue)
        ).run()
    }

    package func apply(
        _ batch: [TenantChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<TenantChange.Effect, ChatError>] {
        let (results, reached) = try write { db in
            let results = try batch.map { try Self.apply($0, at: now, db) }
            let chats = zip(batch, results).compactMap { change, result in
                (try? result.get()) ?? .nothing == .nothing ? nil : change.changedChat
            }
            return (results, try Self.revisions(of: chats, db))
        }
        bus.publish(revisions: reached)
        return results
    }

    private static func apply(
        _ change: TenantChange, at now: Timestamp, _ db: Database
    ) throws -> Result<TenantChange.Effect, ChatError> {
        switch change {
        case .create(let name, let token, let publicID, let pathToken):
            try Query(
                db,
                """
                INSERT INTO applications (id, name, token, public_id, path_token, created_at, updated_at)
                VALUES (\(nextID(in: "applications")), ?, ?, ?, ?, ?, ?)
                """,
                .text(name), .text(token.text), .text(publicID.text), .integer(pathToken.rawValue),
                .integer(now.microseconds), .integer(now.microseconds)
            ).run()
            return .success(.changed)
        case .update(let id, _, let name, let pathToken, let rules):
            try Query(
                db,
                """
                UPDATE applications SET name = IFNULL(?, name), path_token = IFNULL(?, path_token), updated_at = ?
                WHERE id = ? AND removed_at IS NULL
                """,
                name.map { .text($0) } ?? .null, pathToken.map { .integer($0.rawValue) } ?? .null,
                .integer(now.microseconds), .integer(id.rawValue)
            ).run()
            guard db.changesCount == 1 else { return .failure(.notFound) }
            if let rules { try set(rules, of: id, db) }
            return .success(.changed)
        case .addKey(let key, _): return try Self.add(key, at: now, db)
        case .revokeKey(let key, let tenant): return try Self.revoke(key, of: tenant, at: now, db)
        case .useKeys(let uses):
            try Self.note(uses, db)
            return .success(.changed)
        case .users(let change, let id, _): return try Self.apply(change, of: id, at: now, db)
        case .useTokenKeys(let uses):
            try Self.note(uses, db)
            return .success(.changed)
        case .member(let change): return try Self.apply(change, at: now, db)
        case .chat(let update): return try Self.apply(update, at: now, db)
        case .rotate(let id, _, let new, let oldUntil):
            try Query(
                db,
                """
                UPDATE applications
                SET old_token = token, old_token_until = ?, rotated_at = ?, token = ?, updated_at = ?
                WHERE id = ? AND removed_at IS NULL
                """,
                .integer(oldUntil.microseconds), .integer(now.microseconds), .text(new.text),
                .integer(now.microseconds), .integer(id.rawValue)
            ).run()
            return db.changesCount == 1 ? .success(.changed) : .failure(.notFound)
        case .suspend(let id, _, let deletesAt):
            try Query(
                db,
                """
                UPDATE applications SET suspended_at = IFNULL(suspended_at, ?), delete_at = IFNULL(delete_at, ?)
                WHERE id = ? AND removed_at IS NULL
                """,
                .integer(now.microseconds), deletesAt.map { .integer($0.microseconds) } ?? .null,
                .integer(id.rawValue)
            ).run()
            return db.changesCount == 1 ? .success(.changed) : .failure(.notFound)
        case .resume(let id, _):
            try Query(
                db,
                "UPDATE applications SET suspended_at = NULL, delete_at = NULL WHERE id = ? AND removed_at IS NULL",
                .integer(id.rawValue)
            ).run()
            return db.changesCount == 1 ? .success(.changed) : .failure(.notFound)
        case .audited(let change, let record):
            let result = try apply(change, at: now, db)
            if case .success(let effect) = result, effect != .nothing {
                // A change without a lane makes the tenant.
                let tenant = change.lane ?? db.lastInsertedRowID
                try write(record, of: Tenant.ID(tenant), at: now, db)
            }
            return result
        }
    }

    /// The next id of a table: above all that it has, and all that were deleted with an application.
    static func nextID(in table: String) -> String {
        """
        max((SELECT ifnull(max(id), 0) FROM \(table)), (SELECT id FROM id_floors WHERE name = '\(table)')) + 1
        """
    }
}
