import Cryptography
import Synchronization

/// A token that somebody shows. What it says is not to be believed before `UserTokenCache.verify`.
struct ShownToken: Sendable {
    let token: UserToken
    fileprivate let parts: UserToken.Parts
    fileprivate let digest: [UInt8]
    fileprivate let entry: UserTokenCache.Entry?
    fileprivate let unproven: UserToken.Unproven?
}

/// Verified tokens, so that a signature is checked once a minute and not with every request.
///
/// Only the signature and what the token says itself are taken from here. Key, times and user are looked at on every
/// use, so that nothing has to be dropped at a revocation. A refused token is not kept: anyone can make those.
///
/// Holds at most `capacity` tokens: below 1 kB each, and up to 7 kB with as many `chats` as a token can list. One
/// application has at most a quarter of them; its other tokens are verified with every request.
package final class UserTokenCache: Sendable {
    package static let keptFor = Duration.seconds(60)

    struct Entry: Sendable {
        let token: UserToken
        let key: UserTokenKey
        let verifiedAt: Timestamp
    }

    /// Two generations: when the young one is full or a minute old, it becomes the old one, and that is dropped.
    private struct Generations {
        /// By SHA-256, so that memory holds no token that could be used.
        var young: [[UInt8]: Entry] = [:]
        var old: [[UInt8]: Entry] = [:]
        /// In the young one, by audience.
        var counts: [String: Int] = [:]
        var begunAt = Timestamp(microseconds: 0)
    }

    private let generations = Mutex(Generations())
    /// Of a generation.
    private let capacity: Int
    private let maxLifetime: Duration

    /// - Parameter maxLifetime: the most time from `iat` to `exp`, as for `UserToken.verify`.
    package init(capacity: Int = 8192, maxLifetime: Duration) {
        self.capacity = capacity / 2
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
        let token = try verify(read(text, at: now), for: audience, at: now, key: authority.key)
        try token.check(authority.standing(of: token.user))
        return token
    }

    /// Reads a token, and checks nothing that needs a key.
    func read(_ text: String, at now: Timestamp) throws(UserTokenRefusal) -> ShownToken {
        let parts = try UserToken.Parts(text)
        let digest = SHA256.hash(parts.bytes)
        if let entry = entry(digest, at: now) {
            return ShownToken(token: entry.token, parts: parts, digest: digest, entry: entry, unproven: nil)
        }
        let unproven = try UserToken.Unproven(parts, maxLifetime: maxLifetime)
        return ShownToken(token: unproven.token, parts: parts, digest: digest, entry: nil, unproven: unproven)
    }

    /// Checks a token in all respects but its user.
    func verify(
        _ shown: ShownToken, for audience: String, at now: Timestamp, key: (UserTokenKey.ID) -> UserTokenKey?
    ) throws(UserTokenRefusal) -> UserToken {
        // Another key may have its id by now.
        if let entry = shown.entry, let key = key(entry.key.id), key.material == entry.key.material {
            try entry.token.check(key, for: audience, at: now)
            return entry.token
        }
        let unproven =
            if let unproven = shown.unproven { unproven } else {
                try UserToken.Unproven(shown.parts, maxLifetime: maxLifetime)
            }
        let verified = try unproven.proven(for: audience, at: now, key: key)
        keep(Entry(token: verified.token, key: verified.key, verifiedAt: now), shown.digest)
        return verified.token
    }

    /// A token that was verified at most a minute ago; one of the future was kept before the clock was set back.
    func entry(_ digest: [UInt8], at now: Timestamp) -> Entry? {
        guard let entry = generations.withLock({ $0.young[digest] ?? $0.old[digest] }), entry.verifiedAt <= now,
            now < entry.verifiedAt.adding(Self.keptFor)
        else { return nil }
        return entry
    }

    private func keep(_ entry: Entry, _ digest: [UInt8]) {
        let (now, audience) = (entry.verifiedAt, entry.token.audience)
        generations.withLock { generations in
            // Also when the clock was set back.
            let isOver = !(generations.begunAt..<generations.begunAt.adding(Self.keptFor)).contains(now)
            if isOver || generations.young.count >= capacity {
                generations = Generations(old: generations.young, begunAt: now)
            }
            guard generations.counts[audience, default: 0] < max(1, capacity / 4) else { return }
            if generations.young.updateValue(entry, forKey: digest) == nil {
                generations.counts[audience, default: 0] += 1
            }
        }
    }
}
