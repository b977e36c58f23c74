import Cryptography

/// A change to the users of a tenant, or to what their tokens rest on.
package enum UserChange: Sendable {
    /// Stores a user, unless it is there.
    case add(User.ID)
    /// Stores a user's name and metadata, whatever they were.
    case put(User.ID, name: String?, metadata: String?)
    /// Fails with `.notFound`, and with `.invalid` if the metadata become too long.
    case patch(User.ID, UserPatch)
    /// Stores a user if need be, and blocks it, unless it is blocked.
    case block(User.ID)
    /// Fails with `.notFound` for a user who is not there.
    case unblock(User.ID)
    /// Refuses a user's tokens up to a moment, which never goes back. Stores the user if need be.
    case revoke(User.ID, upTo: Timestamp)
    /// The same for the tokens of all users.
    case revokeAll(upTo: Timestamp)
    /// Fails with `.invalid` for one too many (`StoredTokenKey.most`).
    case addKey(StoredTokenKey)
    /// Ends a key's use at a time, or at once. Fails with `.notFound`. A revoked key stays as it is.
    case endKey(UserTokenKey.ID, UserTokenKey.State)

    /// Whom it is about, if it is one user.
    package var user: User.ID? {
        switch self {
        case .add(let user), .put(let user, _, _), .patch(let user, _), .block(let user), .unblock(let user),
            .revoke(let user, _):
            user
        case .revokeAll, .addKey, .endKey: nil
        }
    }

    /// Whether it must come after those before it.
    var isOrdered: Bool { if case .add = self { false } else { true } }

    var bytes: Int {
        switch self {
        case .put(_, let name, let metadata): 256 + (name?.utf8.count ?? 0) + (metadata?.utf8.count ?? 0)
        case .patch(_, let patch): 256 + (patch.name??.utf8.count ?? 0) + (patch.metadata?.count ?? 0)
        default: 256
        }
    }
}

/// A change of a user's name and metadata.
package struct UserPatch: Sendable {
    /// Nil: as it was.
    package let name: String??
    /// A JSON merge patch (RFC 7396); nil: as they were.
    package let metadata: [UInt8]?

    package init(name: String?? = nil, metadata: [UInt8]? = nil) {
        self.name = name
        self.metadata = metadata
    }

    /// - Throws: `ChatError.invalid`.
    package func apply(to user: inout User) throws(ChatError) {
        if let name { user.name = name }
        if let metadata { user.metadata = try Metadata.merge(metadata, into: user.metadata) }
    }
}

/// A key of an application's user tokens, as it is stored.
package struct StoredTokenKey: Equatable, Sendable {
    /// Of an application, without the revoked ones.
    package static let most = 8
    /// With the revoked ones: their bearers are told that they were revoked, until newer ones take the place.
    package static let mostKept = 32

    package let key: UserTokenKey
    package let createdAt: Timestamp
    /// At most a minute old for a key in use, and a minute more.
    package let lastUsedAt: Timestamp?
    package let revokedAt: Timestamp?

    package init(key: UserTokenKey, createdAt: Timestamp, lastUsedAt: Timestamp? = nil, revokedAt: Timestamp? = nil) {
        self.key = key
        self.createdAt = createdAt
        self.lastUsedAt = lastUsedAt
        self.revokedAt = revokedAt
    }
}

extension UserTokenKey.Material {
    /// The algorithm's number and the bytes, as they are stored.
    package var stored: (algorithm: Int64, bytes: [UInt8]) {
        switch self {
        case .secret(let secret): (0, secret.exposedBytes)
        case .publicKey(let key): (1, key.bytes)
        }
    }

    /// - Returns: nil for something of a later version.
    package init?(storedAlgorithm algorithm: Int64, _ bytes: [UInt8]) {
        switch algorithm {
        case 0: self = .secret(SecretKey(bytes))
        case 1:
            guard let key = Ed25519PublicKey(bytes) else { return nil }
            self = .publicKey(key)
        default: return nil
        }
    }
}

/// What the tokens of an application's users rest on.
package struct TokenKeyring: Sendable {
    /// The oldest first, revoked ones included.
    package let keys: [StoredTokenKey]
    /// `UserStanding.validAfter`, of all users.
    package let validAfter: Timestamp?

    package init(keys: [StoredTokenKey], validAfter: Timestamp?) {
        self.keys = keys
        self.validAfter = validAfter
    }
}

package struct TokenKeyAddress: Hashable, Sendable {
    package let tenant: Tenant.ID
    package let key: UserTokenKey.ID

    package init(tenant: Tenant.ID, key: UserTokenKey.ID) {
        self.tenant = tenant
        self.key = key
    }
}
