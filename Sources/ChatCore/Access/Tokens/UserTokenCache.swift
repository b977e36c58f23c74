import Cryptography

/// Verified tokens, so that a signature is checked once a minute and not with every request.
///
/// Only the signature and what the token says itself are taken from here. Key, times and user are looked at on every
/// use, so that nothing has to be dropped at a revocation. A refused token is not kept: anyone can make those.
///
/// Holds at most `capacity` tokens: about 1 kB each, and 7 kB with as many `chats` as a token can list.
package final class UserTokenCache: Sendable {
    package static let keptFor = Duration.seconds(60)

    struct Entry: Sendable {
        let token: UserToken
        let key: UserTokenKey
        let verifiedAt: Timestamp
    }

    /// By SHA-256, so that memory holds no token that could be used.
    private let entries: ImmutableCache<[UInt8], Entry>
    private let maxLifetime: Duration

    /// - Parameter maxLifetime: the most time from `iat` to `exp`.
    package init(capacity: Int = 8192, maxLifetime: Duration) {
        entries = ImmutableCache(capacity: capacity)
        self.maxLifetime = maxLifetime
    }

    /// Checks a token in all respects.
    ///
    /// - Parameters:
    ///   - audience: the public id of the application.
    ///   - authority: the application's.
    package func verify(
        _ text: String, for audience: String, at now: Timestamp, by authority: some UserTokenAuthority
    ) throws(UserTokenRefusal) -> UserToken {
        let parts = try UserToken.Parts(text)
        let digest = SHA256.hash(parts.bytes)
        let token: UserToken
        // Another key may have its id by now.
        if let entry = entry(digest, at: now), let key = authority.key(entry.key.id), key.material == entry.key.material
        {
            try entry.token.check(key, for: audience, at: now)
            token = entry.token
        } else {
            let verified = try UserToken.verify(
                parts, for: audience, at: now, maxLifetime: maxLifetime, key: authority.key)
            token = verified.token
            entries.insert(
                Entry(token: token, key: verified.key, verifiedAt: now), for: digest, at: entries.version)
        }
        try token.check(authority.standing(of: token.user))
        return token
    }

    /// A token that was verified at most a minute ago; one of the future was kept before the clock was set back.
    func entry(_ digest: [UInt8], at now: Timestamp) -> Entry? {
        guard let entry = entries[digest], entry.verifiedAt <= now, now < entry.verifiedAt.adding(Self.keptFor) else {
            return nil
        }
        return entry
    }
}
