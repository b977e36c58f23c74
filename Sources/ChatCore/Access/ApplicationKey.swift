/// What is stored of an application's key.
package struct ApplicationKey: Equatable, Sendable {
    package enum State: Sendable { case active, expired, revoked }

    /// Of an application, revoked ones of the last 30 days included.
    package static let most = 200
    /// How long revoked keys are kept: until then the holder of one is told that it was revoked.
    package static let keepsRevoked = Duration.seconds(30 * 86_400)
    /// `lastUsedAt` is at most this old for a key in use, and a minute more.
    package static let usePrecision = Duration.seconds(60)

    /// Revoked keys of before are forgotten.
    package static func forgottenBefore(_ now: Timestamp) -> Timestamp { now.adding(.zero - keepsRevoked) }

    /// A use is stored if the last stored one is of then or earlier.
    package static func notedBefore(_ use: Timestamp) -> Timestamp { use.adding(.zero - usePrecision) }

    package let id: AccessKey.ID
    package let tenant: Tenant.ID
    package let name: String
    package let digest: AccessKey.Digest
    package let scopes: Abilities
    package let createdAt: Timestamp
    /// Nil: never.
    package let expiresAt: Timestamp?
    package var lastUsedAt: Timestamp?
    package var revokedAt: Timestamp?

    package init(
        id: AccessKey.ID, tenant: Tenant.ID, name: String, digest: AccessKey.Digest, scopes: Abilities,
        createdAt: Timestamp, expiresAt: Timestamp?, lastUsedAt: Timestamp? = nil, revokedAt: Timestamp? = nil
    ) {
        self.id = id
        self.tenant = tenant
        self.name = name
        self.digest = digest
        self.scopes = scopes
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.lastUsedAt = lastUsedAt
        self.revokedAt = revokedAt
    }

    package func state(at now: Timestamp) -> State {
        if revokedAt != nil { return .revoked }
        if let expiresAt, expiresAt <= now { return .expired }
        return .active
    }
}
