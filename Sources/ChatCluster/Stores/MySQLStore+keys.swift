import ChatCore
import MySQLClient

extension MySQLStore: KeyStore {
    func key(_ id: AccessKey.ID) async throws -> ApplicationKey? {
        try await read(.accessKey) { connection in
            try connection.first(
                "SELECT \(KeyTable.columns) FROM application_keys WHERE id = ?", [.text(id.text)]
            ) { KeyTable.key($0) } ?? nil
        }
    }

    func keys(of tenant: Tenant.ID) async throws -> [ApplicationKey] {
        try await read(.accessKeys) { connection in
            try connection.rows(
                "SELECT \(KeyTable.columns) FROM application_keys WHERE application_id = ? ORDER BY created_at, id",
                [.integer(tenant.rawValue)]
            ) { KeyTable.key($0) }.compactMap(\.self)
        }
    }
}

/// The rows of applications' keys.
enum KeyTable {
    static let columns = "id, application_id, name, digest, scopes, created_at, expires_at, last_used_at, revoked_at"

    /// - Parameter row: of `columns`.
    static func key(_ row: borrowing MySQLRow) -> ApplicationKey? {
        guard let id = AccessKey.ID(row.text(0)), let digest = AccessKey.Digest(Array(row.bytes(3))) else { return nil }
        return ApplicationKey(
            id: id,
            tenant: Tenant.ID(row.integer(1)),
            name: row.text(2),
            digest: digest,
            scopes: Abilities(rawValue: UInt8(truncatingIfNeeded: row.integer(4))),
            createdAt: Timestamp(microseconds: row.timestamp(5)),
            expiresAt: row.isNull(6) ? nil : Timestamp(microseconds: row.timestamp(6)),
            lastUsedAt: row.isNull(7) ? nil : Timestamp(microseconds: row.timestamp(7)),
            revokedAt: row.isNull(8) ? nil : Timestamp(microseconds: row.timestamp(8))
        )
    }

    /// The caller holds the application's lock.
    static func add(
        _ key: ApplicationKey, at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws -> Result<TenantChange.Effect, ChatError> {
        let tenant = MySQLValue.integer(key.tenant.rawValue)
        try connection.execute(
            "DELETE FROM application_keys WHERE application_id = ? AND revoked_at < ?",
            [tenant, .timestamp(ApplicationKey.forgottenBefore(now).microseconds)])
        let count = try connection.first(
            "SELECT COUNT(*) FROM application_keys WHERE application_id = ?", [tenant]
        ) { $0.integer(0) }
        guard let count, count < ApplicationKey.most else { return .failure(.tooManyKeys) }
        try connection.execute(
            """
            INSERT INTO application_keys (id, application_id, name, digest, scopes, created_at, expires_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(key.id.text), tenant, .text(key.name), .bytes(key.digest.bytes),
                .integer(Int64(key.scopes.rawValue)), .timestamp(key.createdAt.microseconds),
                key.expiresAt.map { .timestamp($0.microseconds) } ?? .null,
            ])
        return .success(.changed)
    }

    static func revoke(
        _ key: AccessKey.ID, of tenant: Tenant.ID, at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws -> Result<TenantChange.Effect, ChatError> {
        let isThere = try connection.first(
            "SELECT 1 FROM application_keys WHERE id = ? AND application_id = ? FOR UPDATE",
            [.text(key.text), .integer(tenant.rawValue)]
        ) { $0.integer(0) }
        guard isThere != nil else { return .failure(.notFound) }
        try connection.execute(
            "UPDATE application_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL",
            [.timestamp(now.microseconds), .text(key.text)])
        try AccessChanges.record(key, of: tenant, connection)
        return .success(.changed)
    }

    static func note(_ uses: [AccessKey.ID: Timestamp], _ connection: isolated MySQLConnection) throws {
        // In one order, so that two servers do not wait for each other in a circle.
        for (id, time) in uses.sorted(by: { $0.key.text < $1.key.text }) {
            try connection.execute(
                """
                UPDATE application_keys SET last_used_at = ?
                WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)
                """,
                [
                    .timestamp(time.microseconds), .text(id.text),
                    .timestamp(ApplicationKey.notedBefore(time).microseconds),
                ])
        }
    }
}
