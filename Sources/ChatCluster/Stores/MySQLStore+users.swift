import ChatCore
import MySQLClient

extension MySQLStore: UserStore {
    func tokenKeys(of tenant: Tenant.ID) async throws -> TokenKeyring? {
        try await read(.tokenKeys) { connection in
            let id = [MySQLValue.integer(tenant.rawValue)]
            let validAfter = try connection.first("SELECT tokens_valid_after FROM applications WHERE id = ?", id) {
                [$0.time(0)]
            }
            guard let validAfter else { return nil }
            let keys = try connection.rows(
                """
                SELECT id, algorithm, material, created_at, retires_at, revoked_at, last_used_at FROM jwt_keys
                WHERE application_id = ?
                """, id
            ) { row in Self.tokenKey(row) }.compactMap(\.self)
            return TokenKeyring(
                keys: keys.sorted { ($0.createdAt, $0.key.id.text) < ($1.createdAt, $1.key.id.text) },
                validAfter: validAfter[0])
        }
    }

    private static func tokenKey(_ row: borrowing MySQLRow) -> StoredTokenKey? {
        let state: UserTokenKey.State =
            row.isNull(5) ? row.time(4).map { .retiring(until: $0) } ?? .active : .revoked
        guard let id = UserTokenKey.ID(row.text(0)),
            let material = UserTokenKey.Material(storedAlgorithm: row.integer(1), Array(row.bytes(2))),
            let key = UserTokenKey(id: id, material, state: state), let createdAt = row.time(3)
        else { return nil }
        return StoredTokenKey(key: key, createdAt: createdAt, lastUsedAt: row.time(6), revokedAt: row.time(5))
    }

    func user(_ id: User.ID, in tenant: Tenant.ID) async throws -> User? {
        try await read(.user) { connection in
            try UserTable.user(id, .integer(tenant.rawValue), connection)
        }
    }

    func users(of tenant: Tenant.ID, after user: User.ID?, limit: Int) async throws -> (users: [User], hasMore: Bool) {
        let users = try await read(.users) { connection in
            try connection.rows(
                "SELECT \(UserTable.columns) FROM users WHERE application_id = ? AND id > ? ORDER BY id LIMIT ?",
                [.integer(tenant.rawValue), user.map { .user($0) } ?? .bytes([]), .integer(Int64(limit) + 1)]
            ) { UserTable.user($0) }
        }
        return User.page(users, limit: limit)
    }
}

extension MySQLValue {
    /// A column for user ids is VARBINARY.
    static func user(_ id: User.ID) -> MySQLValue { .bytes(Array(id.text.utf8)) }
}

extension MySQLRow {
    fileprivate func time(_ column: Int) -> Timestamp? {
        isNull(column) ? nil : Timestamp(microseconds: timestamp(column))
    }
}

/// Changes users, and the keys of their tokens.
enum UserTable {
    static let columns = "id, name, metadata, created_at, blocked_at, valid_after"

    static func user(_ row: borrowing MySQLRow) -> User {
        User(
            id: User.ID(stored: row.text(0)), name: row.isNull(1) ? nil : row.text(1),
            metadata: row.isNull(2) ? nil : row.text(2), createdAt: Timestamp(microseconds: row.timestamp(3)),
            blockedAt: row.time(4), validAfter: row.time(5))
    }

    static func user(
        _ id: User.ID, _ tenant: MySQLValue, lock: String = "", _ connection: isolated MySQLConnection
    ) throws -> User? {
        try connection.first(
            "SELECT \(columns) FROM users WHERE application_id = ? AND id = ? \(lock)", [tenant, .user(id)]
        ) { user($0) }
    }

    /// The caller holds the application's lock.
    static func apply(
        _ change: UserChange, of tenant: Tenant.ID, at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws -> Result<TenantChange.Effect, ChatError> {
        let id = MySQLValue.integer(tenant.rawValue)
        let time = MySQLValue.timestamp(now.microseconds)
        switch change {
        case .add(let user):
            // It takes nothing away, so nobody is told.
            try connection.execute(
                """
                INSERT INTO users (application_id, id, created_at) VALUES (?, ?, ?)
                ON DUPLICATE KEY UPDATE application_id = VALUES(application_id)
                """, [id, .user(user), time])
        case .put(let user, let name, let metadata):
            let changed = try connection.execute(
                """
                INSERT INTO users (application_id, id, created_at, name, metadata) VALUES (?, ?, ?, ?, ?)
                ON DUPLICATE KEY UPDATE name = VALUES(name), metadata = VALUES(metadata)
                """, [id, .user(user), time, name.map { .text($0) } ?? .null, metadata.map { .text($0) } ?? .null])
            return .success(changed.affectedRows == 0 ? .nothing : .changed)
        case .patch(let userID, let patch):
            guard var user = try user(userID, id, lock: "FOR UPDATE", connection) else { return .failure(.notFound) }
            do throws(ChatError) { try patch.apply(to: &user) } catch { return .failure(error) }
            let changed = try connection.execute(
                "UPDATE users SET name = ?, metadata = ? WHERE application_id = ? AND id = ?",
                [
                    user.name.map { .text($0) } ?? .null, user.metadata.map { .text($0) } ?? .null, id, .user(userID),
                ])
            return .success(changed.affectedRows == 0 ? .nothing : .changed)
        case .block(let user):
            let changed = try connection.execute(
                """
                INSERT INTO users (application_id, id, created_at, blocked_at) VALUES (?, ?, ?, ?)
                ON DUPLICATE KEY UPDATE blocked_at = IFNULL(blocked_at, VALUES(blocked_at))
                """, [id, .user(user), time, time])
            if changed.affectedRows == 0 { return .success(.nothing) }
            try AccessChanges.record(nil, user: user, of: tenant, connection)
        case .unblock(let user):
            let isBlocked = try connection.first(
                "SELECT blocked_at IS NOT NULL FROM users WHERE application_id = ? AND id = ? FOR UPDATE",
                [id, .user(user)]
            ) { $0.integer(0) }
            guard let isBlocked else { return .failure(.notFound) }
            if isBlocked == 0 { return .success(.nothing) }
            try connection.execute(
                "UPDATE users SET blocked_at = NULL WHERE application_id = ? AND id = ?", [id, .user(user)])
            try AccessChanges.record(nil, user: user, of: tenant, connection)
        case .revoke(let user, let end):
            let changed = try connection.execute(
                """
                INSERT INTO users (application_id, id, created_at, valid_after) VALUES (?, ?, ?, ?)
                ON DUPLICATE KEY UPDATE
                    valid_after = GREATEST(IFNULL(valid_after, VALUES(valid_after)), VALUES(valid_after))
                """, [id, .user(user), time, .timestamp(end.microseconds)])
            if changed.affectedRows == 0 { return .success(.nothing) }
            try AccessChanges.record(nil, user: user, of: tenant, connection)
        case .revokeAll(let end):
            try connection.execute(
                """
                UPDATE applications SET tokens_valid_after = GREATEST(IFNULL(tokens_valid_after, ?), ?) WHERE id = ?
                """, [.timestamp(end.microseconds), .timestamp(end.microseconds), id])
            try AccessChanges.record(nil, of: tenant, connection)
        case .addKey(let new): return try add(new, of: tenant, connection)
        case .endKey(let key, let state):
            let isThere = try connection.first(
                "SELECT 1 FROM jwt_keys WHERE application_id = ? AND id = ? FOR UPDATE", [id, .text(key.text)]
            ) { $0.integer(0) }
            guard isThere != nil else { return .failure(.notFound) }
            let (retires, revoked): (MySQLValue, MySQLValue) =
                switch state {
                case .active: (.null, .null)
                case .retiring(let end): (.timestamp(end.microseconds), .null)
                case .revoked: (.null, time)
                }
            try connection.execute(
                """
                UPDATE jwt_keys SET retires_at = ?, revoked_at = ?
                WHERE application_id = ? AND id = ? AND revoked_at IS NULL
                """, [retires, revoked, id, .text(key.text)])
            try AccessChanges.record(nil, of: tenant, connection)
        }
        return .success(.changed)
    }

    private static func add(
        _ new: StoredTokenKey, of tenant: Tenant.ID, _ connection: isolated MySQLConnection
    ) throws -> Result<TenantChange.Effect, ChatError> {
        let id = MySQLValue.integer(tenant.rawValue)
        let counts = try connection.first(
            "SELECT COUNT(*), COUNT(revoked_at) FROM jwt_keys WHERE application_id = ?", [id]
        ) { (all: $0.integer(0), revoked: $0.integer(1)) }
        guard let counts, counts.all - counts.revoked < StoredTokenKey.most else {
            return .failure(.tooManyTokenKeys)
        }
        if counts.all >= StoredTokenKey.mostKept {
            try connection.execute(
                """
                DELETE FROM jwt_keys WHERE application_id = ? AND revoked_at IS NOT NULL ORDER BY revoked_at LIMIT 1
                """, [id])
        }
        let (algorithm, bytes) = new.key.material.stored
        try connection.execute(
            "INSERT INTO jwt_keys (application_id, id, algorithm, material, created_at) VALUES (?, ?, ?, ?, ?)",
            [
                id, .text(new.key.id.text), .integer(algorithm), .bytes(bytes),
                .timestamp(new.createdAt.microseconds),
            ])
        try AccessChanges.record(nil, of: tenant, connection)
        return .success(.changed)
    }

    static func note(_ uses: [TokenKeyAddress: Timestamp], _ connection: isolated MySQLConnection) throws {
        // In one order, so that two servers do not wait for each other in a circle.
        let ordered = uses.sorted {
            ($0.key.tenant.rawValue, $0.key.key.text) < ($1.key.tenant.rawValue, $1.key.key.text)
        }
        for (address, time) in ordered {
            try connection.execute(
                """
                UPDATE jwt_keys SET last_used_at = ?
                WHERE application_id = ? AND id = ? AND (last_used_at IS NULL OR last_used_at <= ?)
                """,
                [
                    .timestamp(time.microseconds), .integer(address.tenant.rawValue), .text(address.key.text),
                    .timestamp(ApplicationKey.notedBefore(time).microseconds),
                ])
        }
    }
}
