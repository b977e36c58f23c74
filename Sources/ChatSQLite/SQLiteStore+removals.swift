package import ChatCore
import GRDB

extension SQLiteStore: TenantRemovals {
    /// Chats whose rows one transaction deletes.
    private static let chatsAtOnce = 64

    package var ownedTables: [OwnedTable] { OwnedTable.embedded }

    package func dueRemoval(at now: Timestamp) async throws -> DueRemoval? {
        try read(.applications) { db in
            let query = try Query(
                db,
                """
                SELECT id, delete_at, suspended_at FROM applications
                WHERE delete_at <= ? AND removed_at IS NULL ORDER BY delete_at LIMIT 1
                """, .integer(now.microseconds))
            guard try query.next() else { return nil }
            return DueRemoval(
                tenant: Tenant.ID(query.integer(0)),
                delay: .microseconds(max(0, query.integer(1) - query.integer(2))))
        }
    }

    package func beginRemoval(of tenant: Tenant.ID, at now: Timestamp) async throws -> Bool {
        let hasBegun = try await change { db in
            try db.execute(
                sql: "UPDATE applications SET removed_at = ? WHERE id = ? AND delete_at <= ? AND removed_at IS NULL",
                arguments: [now.microseconds, tenant.rawValue, now.microseconds])
            guard db.changesCount == 1 else { return false }
            try db.execute(
                sql: """
                    INSERT INTO removals (application_id, application, began_at)
                    SELECT id, public_id, ? FROM applications WHERE id = ?
                    """, arguments: [now.microseconds, tenant.rawValue])
            try Self.write(.byServer(.removeApplication), of: tenant, at: now, db)
            return true
        }
        if hasBegun { bus.change(tenant) }
        return hasBegun
    }

    package func removeSome(limit: Int, at now: Timestamp) async throws -> Int? {
        // Without one, the writer is not asked.
        guard try await removals().contains(where: { $0.emptiedAt == nil }) else { return nil }
        return try await change { db in
            let tenant = try Int64.fetchOne(
                db, sql: "SELECT application_id FROM removals WHERE emptied_at IS NULL ORDER BY began_at LIMIT 1")
            guard let tenant else { return nil }
            // What is deleted does not stay in free pages of the file.
            try db.execute(sql: "PRAGMA secure_delete = ON")
            defer { try? db.execute(sql: "PRAGMA secure_delete = OFF") }  // Only slower.
            return try Self.removeSome(of: tenant, limit: limit, at: now, db)
        }
    }

    private static func removeSome(of tenant: Int64, limit: Int, at now: Timestamp, _ db: Database) throws -> Int {
        var left = limit
        func empty(_ kind: OwnedTable.Kind, _ owners: [Int64]) throws -> Bool {
            // Chats go when their rows have gone.
            for table in OwnedTable.embedded
            where table.kinds.contains(kind) && table.isIndexed && table.name != "chats" {
                left -= try delete(kind, owners, from: table, limit: left, db)
                if left <= 0 { return false }
            }
            return true
        }
        // First, so that no key tells of a chat that is gone.
        guard try empty(.application, [tenant]) else { return limit }
        let chats = try Int64.fetchAll(
            db, sql: "SELECT id FROM chats WHERE application_id = ? ORDER BY number LIMIT \(chatsAtOnce)",
            arguments: [tenant])
        if let highest = chats.max() {
            guard try empty(.chat, chats) else { return limit }
            try raiseFloor(of: "chats", to: highest, db)
            for chat in chats { try db.execute(sql: "DELETE FROM chats WHERE id = ?", arguments: [chat]) }
            return limit - left + chats.count
        }
        try raiseFloor(of: "applications", to: tenant, db)
        try db.execute(sql: "DELETE FROM applications WHERE id = ?", arguments: [tenant])
        try db.execute(
            sql: "UPDATE removals SET emptied_at = ? WHERE application_id = ?", arguments: [now.microseconds, tenant])
        return limit - left + 1
    }

    private static func raiseFloor(of table: String, to id: Int64, _ db: Database) throws {
        try db.execute(sql: "UPDATE id_floors SET id = max(id, ?) WHERE name = ?", arguments: [id, table])
    }

    package func removals() async throws -> [Removal] {
        try read(.applications) { db in
            let query = try Query(
                db, "SELECT application_id, application, began_at, emptied_at FROM removals ORDER BY application_id")
            var removals: [Removal] = []
            while try query.next() {
                removals.append(
                    Removal(
                        tenant: Tenant.ID(query.integer(0)), publicID: query.text(1),
                        beganAt: Timestamp(microseconds: query.integer(2)),
                        emptiedAt: query.isNull(3) ? nil : Timestamp(microseconds: query.integer(3))))
            }
            return removals
        }
    }

    package func finish(_ removal: Removal) async throws {
        try await change { db in
            try db.execute(
                sql: "DELETE FROM removals WHERE application_id = ?", arguments: [removal.tenant.rawValue])
        }
    }

    package func owners(
        _ kind: OwnedTable.Kind, in table: OwnedTable, after id: Int64, limit: Int
    ) async throws -> [Int64] {
        let (column, scope) = Self.owner(kind, in: table)
        return try await scan { db in
            try Int64.fetchAll(
                db,
                sql: """
                    SELECT DISTINCT \(column) FROM \(table.name) WHERE \(scope)\(column) > ? ORDER BY \(column) LIMIT ?
                    """, arguments: [id, limit])
        }
    }

    package func missing(_ kind: OwnedTable.Kind, among ids: [Int64]) async throws -> [Int64] {
        guard !ids.isEmpty else { return [] }
        let table = kind == .chat ? "chats" : "applications"
        return try await scan { db in
            let marks = ids.map { _ in "?" }.joined(separator: ", ")
            let present = try Set(
                Int64.fetchAll(
                    db, sql: "SELECT id FROM \(table) WHERE id IN (\(marks))", arguments: StatementArguments(ids)))
            return ids.filter { !present.contains($0) }
        }
    }

    package func remove(
        _ kind: OwnedTable.Kind, _ id: Int64, from table: OwnedTable, limit: Int
    ) async throws -> Int {
        try await change { try Self.delete(kind, [id], from: table, limit: limit, $0) }
    }

    /// There is nothing beside the tables.
    package func strayKeys(from cursor: String?, deletes: Bool) async throws -> (keys: [String], next: String?) {
        ([], nil)
    }

    /// - Returns: how many rows; at most `limit`.
    private static func delete(
        _ kind: OwnedTable.Kind, _ owners: [Int64], from table: OwnedTable, limit: Int, _ db: Database
    ) throws -> Int {
        let (column, scope) = owner(kind, in: table)
        let key = try String.fetchAll(
            db, sql: "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", arguments: [table.name]
        ).joined(separator: ", ")
        let marks = owners.map { _ in "?" }.joined(separator: ", ")
        try db.execute(
            sql: """
                DELETE FROM \(table.name) WHERE (\(key)) IN (
                    SELECT \(key) FROM \(table.name) WHERE \(scope)\(column) IN (\(marks)) LIMIT ?)
                """, arguments: StatementArguments(owners + [Int64(limit)]))
        return db.changesCount
    }

    /// The column with the owner's id, and a condition before it.
    private static func owner(_ kind: OwnedTable.Kind, in table: OwnedTable) -> (column: String, scope: String) {
        switch (table.owner, kind) {
        case (.application, _): ("application_id", "")
        case (.chat, _): ("chat_id", "")
        case (.scope, .chat): ("scope_id", "scope = 'chat' AND ")
        case (.scope, .application): ("scope_id", "scope = 'application' AND ")
        }
    }

    /// One durable transaction on the writer's thread.
    private func change<Result: Sendable>(
        _ body: @Sendable @escaping (Database) throws -> Result
    ) async throws -> Result {
        try await Task(executorPreference: writeThread) { try write(body) }.value
    }
}
