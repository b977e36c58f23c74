import ChatCore
import MySQLClient
import RedisClient

extension MySQLStore: TenantRemovals {
    /// Chats whose rows one transaction deletes.
    private static let chatsAtOnce = 64
    /// By the earlier of the database's and this process' clocks (`?`), so that one wrong clock deletes nothing early.
    private static let now = "LEAST(UTC_TIMESTAMP(6), CAST(? AS DATETIME(6)))"

    var ownedTables: [OwnedTable] { OwnedTable.cluster }

    func dueRemoval(at now: Timestamp) async throws -> DueRemoval? {
        try await read { connection in
            try connection.first(
                """
                SELECT id, delete_at, suspended_at FROM applications
                WHERE delete_at <= \(Self.now) AND removed_at IS NULL ORDER BY delete_at LIMIT 1
                """, [.timestamp(now.microseconds)]
            ) { row in
                let delay = row.isNull(2) ? 0 : row.timestamp(1) - row.timestamp(2)
                return DueRemoval(tenant: Tenant.ID(row.integer(0)), delay: .microseconds(max(0, delay)))
            }
        }
    }

    func beginRemoval(of tenant: Tenant.ID, at now: Timestamp) async throws -> Bool {
        let record = AuditRecord.byServer(.removeApplication)
        let hasBegun = try await write { connection in
            try connection.transaction { connection in
                try PublicIDs.give(to: [tenant], connection)
                let begun = try connection.execute(
                    """
                    UPDATE applications SET removed_at = UTC_TIMESTAMP(6)
                    WHERE id = ? AND delete_at <= \(Self.now) AND removed_at IS NULL
                    """, [.integer(tenant.rawValue), .timestamp(now.microseconds)])
                guard begun.affectedRows == 1 else { return false }
                try connection.execute(
                    """
                    INSERT INTO removals (application_id, application, began_at)
                    SELECT id, public_id, removed_at FROM applications WHERE id = ?
                    """, [.integer(tenant.rawValue)])
                try AccessChanges.record(nil, of: tenant, connection)
                try TenantLocks.lockAudit(of: [tenant], connection)
                try AuditTable.write(record, of: tenant, at: now, connection)
                return true
            }
        }
        if hasBegun { bus.change(tenant) }
        return hasBegun
    }

    func removeSome(limit: Int, at now: Timestamp) async throws -> Int? {
        // Without one, the primary is not asked.
        guard try await removals().contains(where: { $0.emptiedAt == nil }) else { return nil }
        let (count, chats, tenant) = try await write { connection in
            try connection.transaction { connection in try Self.removeSome(limit: limit, connection) }
        }
        await forgetKeys(ofChats: chats, tenant)
        return count
    }

    /// Redis' keys of what is gone by now; those that stay, for lack of Redis, go at the end.
    private func forgetKeys(ofChats chats: [Int64], _ tenant: Int64?) async {
        var keys = chats.flatMap { [RedisKey.messagesCount(of: $0), NumberedTable.messages.numberKey($0)] }
        if let tenant { keys.append(NumberedTable.chats.numberKey(tenant)) }
        // One command a key, so that Redis Cluster stays possible.
        for key in keys {
            guard (try? await redis.send(RedisCommand("UNLINK", key))) != nil else { return }
        }
    }

    /// The lock of the deletion's row makes one process wait for another.
    ///
    /// - Returns: how many rows, nil without a deletion; the chats and the tenant whose own rows went.
    private static func removeSome(
        limit: Int, _ connection: isolated MySQLConnection
    ) throws -> (count: Int?, chats: [Int64], tenant: Int64?) {
        let tenant = try connection.first(
            "SELECT application_id FROM removals WHERE emptied_at IS NULL ORDER BY began_at LIMIT 1 FOR UPDATE"
        ) { $0.integer(0) }
        guard let tenant else { return (nil, [], nil) }
        var left = limit
        // First, so that no key tells of a chat that is gone.
        guard try empty(.application, [tenant], &left, connection) else { return (limit, [], nil) }
        let chats = try connection.rows(
            """
            SELECT id FROM \(NumberedTable.chats.byNumber) WHERE application_id = ?
            ORDER BY number DESC LIMIT \(chatsAtOnce)
            """, [.integer(tenant)]
        ) { $0.integer(0) }
        if !chats.isEmpty {
            guard try empty(.chat, chats, &left, connection) else { return (limit, [], nil) }
            // If a message came meanwhile, its foreign key fails the whole step, and the next one finds it.
            try connection.execute(
                "DELETE FROM chats WHERE id IN (\(chats.map { _ in "?" }.joined(separator: ", ")))",
                chats.map { .integer($0) })
            return (limit - left + chats.count, chats, nil)
        }
        try connection.execute("DELETE FROM applications WHERE id = ?", [.integer(tenant)])
        try connection.execute(
            "UPDATE removals SET emptied_at = UTC_TIMESTAMP(6) WHERE application_id = ?", [.integer(tenant)])
        return (limit - left + 1, [], tenant)
    }

    /// Deletes rows of these owners from all tables but that of the chats, which go when their rows have gone.
    ///
    /// - Returns: whether none is left.
    private static func empty(
        _ kind: OwnedTable.Kind, _ owners: [Int64], _ left: inout Int, _ connection: isolated MySQLConnection
    ) throws -> Bool {
        for table in OwnedTable.cluster where table.kinds.contains(kind) && table.isIndexed && table.name != "chats" {
            left -= try delete(kind, owners, from: table, limit: left, connection)
            if left <= 0 { return false }
        }
        return true
    }

    func removals() async throws -> [Removal] {
        try await read { connection in
            try connection.rows(
                "SELECT application_id, application, began_at, emptied_at FROM removals ORDER BY application_id"
            ) { row in
                Removal(
                    tenant: Tenant.ID(row.integer(0)), publicID: row.text(1),
                    beganAt: Timestamp(microseconds: row.timestamp(2)),
                    emptiedAt: row.isNull(3) ? nil : Timestamp(microseconds: row.timestamp(3)))
            }
        }
    }

    func finish(_ removal: Removal) async throws {
        try await write { connection in
            _ = try connection.execute(
                "DELETE FROM removals WHERE application_id = ?", [.integer(removal.tenant.rawValue)])
        }
    }

    func owners(
        _ kind: OwnedTable.Kind, in table: OwnedTable, after id: Int64, limit: Int
    ) async throws -> [Int64] {
        let (column, scope) = Self.owner(kind, in: table)
        return try await scan(within: .seconds(60)) { connection in
            try connection.rows(
                """
                SELECT DISTINCT \(column) FROM \(table.name) WHERE \(scope)\(column) > ? ORDER BY \(column) LIMIT ?
                """, [.integer(id), .integer(Int64(limit))]
            ) { $0.integer(0) }
        }
    }

    func missing(_ kind: OwnedTable.Kind, among ids: [Int64]) async throws -> [Int64] {
        let table = kind == .chat ? "chats" : "applications"
        return try await scan(within: .seconds(60)) { connection in
            var present: Set<Int64> = []
            for some in ids.chunks(of: 256).map(\.padded) {
                try connection.query(
                    "SELECT id FROM \(table) WHERE id IN (\(some.map { _ in "?" }.joined(separator: ", ")))",
                    some.map { .integer($0) }
                ) { row in
                    present.insert(row.integer(0))
                    return true
                }
            }
            return ids.filter { !present.contains($0) }
        }
    }

    func remove(_ kind: OwnedTable.Kind, _ id: Int64, from table: OwnedTable, limit: Int) async throws -> Int {
        try await write { try Self.delete(kind, [id], from: table, limit: limit, $0) }
    }

    private static func delete(
        _ kind: OwnedTable.Kind, _ owners: [Int64], from table: OwnedTable, limit: Int,
        _ connection: isolated MySQLConnection
    ) throws -> Int {
        guard table.name != "messages" else { return try deleteMessages(of: owners, limit: limit, connection) }
        let (column, scope) = owner(kind, in: table)
        let marks = owners.map { _ in "?" }.joined(separator: ", ")
        let deleted = try connection.execute(
            "DELETE FROM \(table.name) WHERE \(scope)\(column) IN (\(marks)) LIMIT \(limit)",
            owners.map { .integer($0) })
        return Int(deleted.affectedRows)
    }

    /// From the highest number down, and chats likewise: a job that looks for missing numbers would make those below others
    /// void.
    private static func deleteMessages(
        of chats: [Int64], limit: Int, _ connection: isolated MySQLConnection
    ) throws -> Int {
        var left = limit
        for chat in chats where left > 0 {
            let deleted = try connection.execute(
                "DELETE FROM messages WHERE chat_id = ? ORDER BY number DESC LIMIT \(left)", [.integer(chat)])
            left -= Int(deleted.affectedRows)
        }
        return limit - left
    }

    /// The column with the owner's id, and a condition before it.
    private static func owner(_ kind: OwnedTable.Kind, in table: OwnedTable) -> (column: String, scope: String) {
        func scope(_ scope: IdempotencyTable.Scope) -> String { "scope = \(scope.rawValue) AND " }
        return switch (table.owner, kind) {
        case (.application, _): ("application_id", "")
        case (.chat, _): ("chat_id", "")
        case (.scope, .chat): ("scope_id", scope(.chat))
        case (.scope, .application): ("scope_id", scope(.application))
        }
    }

    // MARK: Redis

    /// The keys in Redis that name an owner; the first one's pattern is walked, then the next one's.
    private static let keys: [(kind: OwnedTable.Kind, key: @Sendable (Int64) -> String)] = [
        (.chat, { RedisKey.messagesCount(of: $0) }), (.chat, { NumberedTable.messages.numberKey($0) }),
        (.application, { NumberedTable.chats.numberKey($0) }),
    ]

    func strayKeys(from cursor: String?, deletes: Bool) async throws -> (keys: [String], next: String?) {
        let parts = (cursor ?? "0 0").split(separator: " ")
        guard parts.count == 2, let index = Int(parts[0]), Self.keys.indices.contains(index) else { return ([], nil) }
        let (kind, key) = Self.keys[index]
        let halves = key(0).components(around: "0")
        do {
            let answer = try await redis.send(
                RedisCommand("SCAN", String(parts[1]), "MATCH", halves.before + "*" + halves.after, "COUNT", "1000"))
            let page = answer.array ?? []
            let names = page.last?.array?.compactMap(\.string) ?? []
            var owners: [Int64: String] = [:]
            for name in names {
                guard name.hasPrefix(halves.before), name.hasSuffix(halves.after) else { continue }
                let id = name.dropFirst(halves.before.utf8.count).dropLast(halves.after.utf8.count)
                if let id = Int64(id), id > 0 { owners[id] = name }
            }
            let strays = try await missing(kind, among: Array(owners.keys)).compactMap { owners[$0] }
            if deletes { for stray in strays { _ = try await redis.send(RedisCommand("UNLINK", stray)) } }
            if let next = page.first?.string, next != "0" { return (strays, "\(index) \(next)") }
            return (strays, index + 1 < Self.keys.count ? "\(index + 1) 0" : nil)
        } catch let error as RedisError {
            throw ChatError.unavailable(reason: "\(error)")
        }
    }
}

extension String {
    /// What is before and after the only place of a text.
    fileprivate func components(around text: String) -> (before: String, after: String) {
        let parts = split(separator: text, maxSplits: 1, omittingEmptySubsequences: false)
        return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
    }
}
