package import ChatCore
import GRDB

extension SQLiteStore: KeyStore {
    private static let columns =
        "id, application_id, name, digest, scopes, created_at, expires_at, last_used_at, revoked_at"

    /// - Parameter row: of `columns`.
    private static func key(_ row: borrowing Query) -> ApplicationKey? {
        guard let id = AccessKey.ID(row.text(0)), let digest = AccessKey.Digest(Array(row.bytes(3))) else { return nil }
        func time(_ column: CInt) -> Timestamp? {
            row.isNull(column) ? nil : Timestamp(microseconds: row.integer(column))
        }
        return ApplicationKey(
            id: id,
            tenant: Tenant.ID(row.integer(1)),
            name: row.text(2),
            digest: digest,
            scopes: Abilities(rawValue: UInt8(truncatingIfNeeded: row.integer(4))),
            createdAt: Timestamp(microseconds: row.integer(5)),
            expiresAt: time(6),
            lastUsedAt: time(7),
            revokedAt: time(8)
        )
    }

    package func key(_ id: AccessKey.ID) async throws -> ApplicationKey? {
        try read(.accessKey) { db in
            let query = try Query(
                db, "SELECT \(Self.columns) FROM application_keys WHERE id = ?", .text(id.text))
            return try query.next() ? Self.key(query) : nil
        }
    }

    package func keys(of tenant: Tenant.ID) async throws -> [ApplicationKey] {
        try read(.accessKeys) { db in
            let query = try Query(
                db,
                "SELECT \(Self.columns) FROM application_keys WHERE application_id = ? ORDER BY created_at, id",
                .integer(tenant.rawValue))
            var keys: [ApplicationKey] = []
            while try query.next() { if let key = Self.key(query) { keys.append(key) } }
            return keys
        }
    }

    static func add(
        _ key: ApplicationKey, at now: Timestamp, _ db: Database
    ) throws -> Result<TenantChange.Effect, ChatError> {
        let tenant = Query.Value.integer(key.tenant.rawValue)
        guard try Query(db, "SELECT 1 FROM applications WHERE id = ?", tenant).next() else {
            return .failure(.notFound)
        }
        try Query(
            db, "DELETE FROM application_keys WHERE application_id = ? AND revoked_at < ?",
            tenant, .integer(ApplicationKey.forgottenBefore(now).microseconds)
        ).run()
        let count = try Query(db, "SELECT COUNT(*) FROM application_keys WHERE application_id = ?", tenant)
        guard try count.next(), count.integer(0) < ApplicationKey.most else { return .failure(.tooManyKeys) }
        try Query(
            db,
            """
            INSERT INTO application_keys (id, application_id, name, digest, scopes, created_at, expires_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            .text(key.id.text), tenant, .text(key.name), .blob(key.digest.bytes),
            .integer(Int64(key.scopes.rawValue)), .integer(key.createdAt.microseconds),
            key.expiresAt.map { .integer($0.microseconds) } ?? .null
        ).run()
        return .success(.changed)
    }

    static func revoke(
        _ key: AccessKey.ID, of tenant: Tenant.ID, at now: Timestamp, _ db: Database
    ) throws -> Result<TenantChange.Effect, ChatError> {
        try Query(
            db,
            "UPDATE application_keys SET revoked_at = IFNULL(revoked_at, ?) WHERE id = ? AND application_id = ?",
            .integer(now.microseconds), .text(key.text), .integer(tenant.rawValue)
        ).run()
        return db.changesCount == 1 ? .success(.changed) : .failure(.notFound)
    }

    static func note(_ uses: [AccessKey.ID: Timestamp], _ db: Database) throws {
        let update = try Query(
            db,
            "UPDATE application_keys SET last_used_at = ? WHERE id = ? AND IFNULL(last_used_at, 0) <= ?")
        for (id, time) in uses {
            try update.rebind(
                .integer(time.microseconds), .text(id.text), .integer(ApplicationKey.notedBefore(time).microseconds))
            try update.run()
        }
    }
}
