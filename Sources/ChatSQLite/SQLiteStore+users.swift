package import ChatCore
import Cryptography
import GRDB

extension SQLiteStore {
    func ticketKey() throws -> SecretKey? {
        try read(.tokenKeys) { db in
            let query = try Query(db, "SELECT secret FROM server_secrets WHERE name = 'tickets'")
            return try query.next() ? SecretKey(Array(query.bytes(0))) : nil
        }
    }
}

extension SQLiteStore: UserStore {
    package func tokenKeys(of tenant: Tenant.ID) async throws -> TokenKeyring? {
        try read(.tokenKeys) { db in
            let application = try Query(
                db, "SELECT tokens_valid_after FROM applications WHERE id = ?", .integer(tenant.rawValue))
            guard try application.next() else { return nil }
            let query = try Query(
                db,
                """
                SELECT id, algorithm, material, created_at, retires_at, revoked_at, last_used_at FROM jwt_keys
                WHERE application_id = ?
                """, .integer(tenant.rawValue))
            var keys: [StoredTokenKey] = []
            while try query.next() {
                let state: UserTokenKey.State =
                    query.isNull(5) ? query.time(4).map { .retiring(until: $0) } ?? .active : .revoked
                guard let id = UserTokenKey.ID(query.text(0)),
                    let material = UserTokenKey.Material(storedAlgorithm: query.integer(1), Array(query.bytes(2))),
                    let key = UserTokenKey(id: id, material, state: state), let createdAt = query.time(3)
                else { continue }
                keys.append(
                    StoredTokenKey(
                        key: key, createdAt: createdAt, lastUsedAt: query.time(6), revokedAt: query.time(5)))
            }
            keys.sort { ($0.createdAt, $0.key.id.text) < ($1.createdAt, $1.key.id.text) }
            return TokenKeyring(keys: keys, validAfter: application.time(0))
        }
    }

    package func user(_ id: User.ID, in tenant: Tenant.ID) async throws -> User? {
        try read(.user) { db in
            try Self.user(id, .integer(tenant.rawValue), db)
        }
    }

    package func users(
        of tenant: Tenant.ID, after user: User.ID?, limit: Int
    ) async throws -> (users: [User], hasMore: Bool) {
        try read(.users) { db in
            let query = try Query(
                db,
                "SELECT \(Self.userColumns) FROM users WHERE application_id = ? AND id > ? ORDER BY id LIMIT ?",
                .integer(tenant.rawValue), .text(user?.text ?? ""), .integer(Int64(limit) + 1))
            var users: [User] = []
            while try query.next() { users.append(Self.user(query)) }
            return User.page(users, limit: limit)
        }
    }

    private static let userColumns = "id, name, metadata, created_at, blocked_at, valid_after"

    private static func user(_ row: borrowing Query) -> User {
        User(
            id: User.ID(stored: row.text(0)), name: row.isNull(1) ? nil : row.text(1),
            metadata: row.isNull(2) ? nil : row.text(2), createdAt: Timestamp(microseconds: row.integer(3)),
            blockedAt: row.time(4), validAfter: row.time(5))
    }

    private static func user(
        _ id: User.ID, _ tenant: Query.Value, _ db: some StatementSource
    ) throws -> User? {
        let query = try Query(
            db, "SELECT \(userColumns) FROM users WHERE application_id = ? AND id = ?", tenant, .text(id.text))
        return try query.next() ? user(query) : nil
    }

    static func apply(
        _ change: UserChange, of tenant: Tenant.ID, at now: Timestamp, _ db: Database
    ) throws -> Result<TenantChange.Effect, ChatError> {
        let id = Query.Value.integer(tenant.rawValue)
        let time = Query.Value.integer(now.microseconds)
        guard try Query(db, "SELECT 1 FROM applications WHERE id = ? AND removed_at IS NULL", id).next() else {
            return .failure(.notFound)
        }
        switch change {
        case .add(let user):
            try Query(
                db,
                "INSERT INTO users (application_id, id, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                id, .text(user.text), time
            ).run()
        case .put(let user, let name, let metadata):
            try Query(
                db,
                """
                INSERT INTO users (application_id, id, created_at, name, metadata) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (application_id, id) DO UPDATE SET name = excluded.name, metadata = excluded.metadata
                WHERE name IS NOT excluded.name OR metadata IS NOT excluded.metadata
                """, id, .text(user.text), time, name.map { .text($0) } ?? .null, metadata.map { .text($0) } ?? .null
            ).run()
        case .patch(let userID, let patch):
            guard var user = try user(userID, id, db) else { return .failure(.notFound) }
            do throws(ChatError) { try patch.apply(to: &user) } catch { return .failure(error) }
            let (name, metadata): (Query.Value, Query.Value) = (
                user.name.map { .text($0) } ?? .null, user.metadata.map { .text($0) } ?? .null
            )
            try Query(
                db,
                """
                UPDATE users SET name = ?, metadata = ?
                WHERE application_id = ? AND id = ? AND (name IS NOT ? OR metadata IS NOT ?)
                """, name, metadata, id, .text(userID.text), name, metadata
            ).run()
        case .block(let user):
            try Query(
                db,
                """
                INSERT INTO users (application_id, id, created_at, blocked_at) VALUES (?, ?, ?, ?)
                ON CONFLICT (application_id, id) DO UPDATE SET blocked_at = excluded.blocked_at
                WHERE blocked_at IS NULL
                """, id, .text(user.text), time, time
            ).run()
        case .unblock(let user):
            guard try self.user(user, id, db) != nil else { return .failure(.notFound) }
            try Query(
                db, "UPDATE users SET blocked_at = NULL WHERE application_id = ? AND id = ? AND blocked_at IS NOT NULL",
                id, .text(user.text)
            ).run()
        case .revoke(let user, let end):
            try Query(
                db,
                """
                INSERT INTO users (application_id, id, created_at, valid_after) VALUES (?, ?, ?, ?)
                ON CONFLICT (application_id, id) DO UPDATE SET valid_after = excluded.valid_after
                WHERE IFNULL(valid_after, 0) < excluded.valid_after
                """, id, .text(user.text), time, .integer(end.microseconds)
            ).run()
        case .revokeAll(let end):
            try Query(
                db,
                "UPDATE applications SET tokens_valid_after = MAX(IFNULL(tokens_valid_after, 0), ?) WHERE id = ?",
                .integer(end.microseconds), id
            ).run()
            return .success(.changed)
        case .addKey(let new): return try add(new, id, db)
        case .endKey(let key, let state):
            guard
                try Query(db, "SELECT 1 FROM jwt_keys WHERE application_id = ? AND id = ?", id, .text(key.text)).next()
            else { return .failure(.notFound) }
            let (retires, revoked): (Query.Value, Query.Value) =
                switch state {
                case .active: (.null, .null)
                case .retiring(let end): (.integer(end.microseconds), .null)
                case .revoked: (.null, time)
                }
            try Query(
                db,
                """
                UPDATE jwt_keys SET retires_at = ?, revoked_at = ?
                WHERE application_id = ? AND id = ? AND revoked_at IS NULL
                """, retires, revoked, id, .text(key.text)
            ).run()
            return .success(.changed)
        }
        return .success(db.changesCount == 0 ? .nothing : .changed)
    }

    private static func add(
        _ new: StoredTokenKey, _ id: Query.Value, _ db: Database
    ) throws -> Result<TenantChange.Effect, ChatError> {
        let kept = try Query(db, "SELECT id, revoked_at FROM jwt_keys WHERE application_id = ?", id)
        var (count, revoked) = (0, [(id: String, at: Int64)]())
        while try kept.next() {
            count += 1
            if !kept.isNull(1) { revoked.append((kept.text(0), kept.integer(1))) }
        }
        guard count - revoked.count < StoredTokenKey.most else { return .failure(.tooManyTokenKeys) }
        if count >= StoredTokenKey.mostKept, let oldest = revoked.min(by: { $0.at < $1.at }) {
            try Query(db, "DELETE FROM jwt_keys WHERE application_id = ? AND id = ?", id, .text(oldest.id)).run()
        }
        let (algorithm, bytes) = new.key.material.stored
        try Query(
            db,
            "INSERT INTO jwt_keys (application_id, id, algorithm, material, created_at) VALUES (?, ?, ?, ?, ?)",
            id, .text(new.key.id.text), .integer(algorithm), .blob(bytes), .integer(new.createdAt.microseconds)
        ).run()
        return .success(.changed)
    }

    static func note(_ uses: [TokenKeyAddress: Timestamp], _ db: Database) throws {
        let update = try Query(
            db,
            """
            UPDATE jwt_keys SET last_used_at = ?
            WHERE application_id = ? AND id = ? AND IFNULL(last_used_at, 0) <= ?
            """)
        for (address, time) in uses {
            try update.rebind(
                .integer(time.microseconds), .integer(address.tenant.rawValue), .text(address.key.text),
                .integer(ApplicationKey.notedBefore(time).microseconds))
            try update.run()
        }
    }
}

extension Query {
    fileprivate func time(_ column: CInt) -> Timestamp? {
        isNull(column) ? nil : Timestamp(microseconds: integer(column))
    }
}
