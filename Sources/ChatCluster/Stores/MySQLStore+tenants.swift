import ChatCore
import MySQLClient

extension MySQLStore: TenantStore {
    func identity(of name: Tenant.Name) async throws -> Tenant.Identity? {
        try await read(.applicationID) { connection in
            let column = if case .token = name { "token" } else { "public_id" }
            return try connection.first(
                "SELECT id, token, path_token FROM applications WHERE \(column) = ?", [.text(name.text)]
            ) { row in
                Tenant.Token(row.text(1)).map { token in
                    Tenant.Identity(
                        id: Tenant.ID(row.integer(0)), token: token, pathToken: Tenant.PathToken(stored: row.integer(2))
                    )
                }
            } ?? nil
        }
    }

    func tenant(_ id: Tenant.ID) async throws -> Tenant? {
        try await named(limit: 1) { store in
            try await store.read(.application) { connection in
                try TenantRow.read("WHERE id = ?", [.integer(id.rawValue)], connection)
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
                    "WHERE id > ? ORDER BY id LIMIT ?", [.integer(start), .integer(Int64(limit) + 1)], connection)
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
        try batch.map { change in
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
            case .update(let id, let token, let name, let pathToken):
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
                if pathToken != nil { try AccessChanges.record(nil, of: id, connection) }
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
            }
        }
    }

    /// Locks the tenant's row.
    ///
    /// - Returns: false if there is none, or not with that token: on another server, the id may belong to another tenant.
    private static func lock(
        _ id: Tenant.ID, _ token: Tenant.Token?, _ connection: isolated MySQLConnection
    ) throws -> Bool {
        let stored = try connection.first(
            "SELECT token FROM applications WHERE id = ? FOR UPDATE", [.integer(id.rawValue)]
        ) { $0.text(0) }
        return stored != nil && (token == nil || token?.text == stored)
    }

    /// The outcomes of a batch that was committed without a confirmation.
    private func outcomes(of batch: [TenantChange]) async throws -> [Result<Void, ChatError>] {
        var outcomes: [Result<Void, ChatError>] = []
        for change in batch {
            switch change {
            case .update(let id, _, _, _):
                let isThere = try await read { connection in
                    try connection.first("SELECT 1 FROM applications WHERE id = ?", [.integer(id.rawValue)]) {
                        $0.integer(0)
                    }
                }
                outcomes.append(isThere == nil ? .failure(.notFound) : .success(()))
            case .addKey(let new, _):
                // Its application was there, and it was not one too many.
                outcomes.append(try await key(new.id) == nil ? .failure(.outcomeUnknown) : .success(()))
            case .revokeKey(let id, let tenant):
                outcomes.append(try await key(id)?.tenant == tenant ? .success(()) : .failure(.notFound))
            case .create, .useKeys: outcomes.append(.success(()))
            }
        }
        return outcomes
    }
}

/// A tenant's row, whose public id may be missing.
private struct TenantRow {
    let id: Tenant.ID
    let publicID: Tenant.PublicID?
    private let token: Tenant.Token?
    private let pathToken: Tenant.PathToken
    private let name: String
    private let createdAt: Timestamp
    private var chats: Int64 = 0
    private var messages: Int64 = 0

    private init(_ row: borrowing MySQLRow) {
        id = Tenant.ID(row.integer(0))
        token = Tenant.Token(row.text(1))
        publicID = row.isNull(2) ? nil : Tenant.PublicID(row.text(2))
        pathToken = Tenant.PathToken(stored: row.integer(3))
        name = row.text(4)
        createdAt = Timestamp(microseconds: row.timestamp(5))
    }

    /// - Parameter rest: of the statement; in the order of the ids.
    static func read(
        _ rest: String, _ parameters: [MySQLValue], _ connection: isolated MySQLConnection
    ) throws -> [TenantRow] {
        var rows = try connection.rows(
            "SELECT id, token, public_id, path_token, name, created_at FROM applications \(rest)", parameters
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
            name: name,
            chatsCount: chats,
            messagesCount: messages,
            createdAt: createdAt
        )
    }
}
