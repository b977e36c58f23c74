import Cryptography
import Testing

@testable import ChatCore

@Suite struct UserTokenCacheTests {
    private let issuer = TokenIssuer()
    private let cache = UserTokenCache(maxLifetime: .seconds(86_400))
    private let token = TokenIssuer.token()

    private func verify(_ token: String, at seconds: Int64 = TokenIssuer.now) throws(UserTokenRefusal) -> UserToken {
        try cache.verify(token, for: TokenIssuer.audience, at: TokenIssuer.time(seconds), by: issuer)
    }

    @Test func aTokenIsTheSameFromTheCache() throws {
        #expect(try verify(token) == verify(token))
        #expect(try verify(token) == issuer.verify(token))
    }

    @Test func aTokenIsVerifiedAgainAfterAMinute() throws {
        _ = try verify(token, at: 1_800_000_000)
        _ = try verify(token, at: 1_800_000_059)
        #expect(cache.holds(token, at: 1_800_000_059))
        #expect(!cache.holds(token, at: 1_800_000_060))
        // Of a clock that was set back.
        #expect(!cache.holds(token, at: 1_799_999_999))
        _ = try verify(token, at: 1_800_000_060)
        #expect(cache.holds(token, at: 1_800_000_119))
    }

    @Test func aRefusedTokenIsNotKept() {
        let forged = TokenIssuer.token(secret: .random())
        #expect(throws: UserTokenRefusal.invalid(.signature)) { try verify(forged) }
        #expect(!cache.holds(forged, at: TokenIssuer.now))
    }

    @Test func timesAreLookedAtOnEveryUse() throws {
        let claims = TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800000010"#)
        let short = TokenIssuer.token(claims: claims)
        _ = try verify(short, at: 1_800_000_040)
        _ = try verify(short, at: 1_800_000_069)
        #expect(throws: UserTokenRefusal.expired) { try verify(short, at: 1_800_000_070) }
        // Even before it was issued, when a clock was set back.
        #expect(throws: UserTokenRefusal.notYetValid) { try verify(short, at: 1_799_999_900) }
    }

    @Test func keysAreLookedAtOnEveryUse() throws {
        _ = try verify(token)
        var key = TokenIssuer.secretKey
        key.state = .retiring(until: TokenIssuer.time(1_800_000_005))
        issuer.set([key])
        _ = try verify(token, at: 1_800_000_004)
        #expect(throws: UserTokenRefusal.revoked) { try verify(token, at: 1_800_000_005) }
        key.state = .revoked
        issuer.set([key])
        #expect(throws: UserTokenRefusal.revoked) { try verify(token) }
        issuer.set([])
        #expect(throws: UserTokenRefusal.invalid(.key)) { try verify(token) }
        // Another secret under the same id, and another kind of key.
        issuer.set([UserTokenKey(id: key.id, .secret(.random()))])
        #expect(throws: UserTokenRefusal.invalid(.signature)) { try verify(token) }
        issuer.set([UserTokenKey(id: key.id, TokenIssuer.publicKey.material)])
        #expect(throws: UserTokenRefusal.invalid(.algorithm)) { try verify(token) }
        issuer.set([TokenIssuer.secretKey])
        _ = try verify(token)
    }

    @Test func usersAreLookedAtOnEveryUse() throws {
        let user = try #require(User.ID("u1"))
        _ = try verify(token)
        issuer.set(UserStanding(isBlocked: true), of: user)
        #expect(throws: UserTokenRefusal.blocked) { try verify(token) }
        issuer.set(UserStanding(validAfter: TokenIssuer.time(1_800_000_000)), of: user)
        #expect(throws: UserTokenRefusal.revoked) { try verify(token) }
        issuer.set(UserStanding(validAfter: TokenIssuer.time(1_799_999_999)), of: user)
        _ = try verify(token)
        issuer.set(UserStanding(isBlocked: true), of: try #require(User.ID("u2")))
        _ = try verify(token)
    }

    /// What a stranger could ask for with a forged token.
    @Test func aForgedTokenTellsNothingOfItsUser() throws {
        issuer.set(UserStanding(isBlocked: true), of: try #require(User.ID("u1")))
        #expect(throws: UserTokenRefusal.invalid(.signature)) { try verify(TokenIssuer.token(secret: .random())) }
    }

    @Test func anotherApplicationIsNotServedFromTheCache() throws {
        _ = try verify(token)
        #expect(throws: UserTokenRefusal.invalid(.audience)) {
            _ = try cache.verify(
                token, for: "app_other", at: TokenIssuer.time(TokenIssuer.now), by: issuer)
        }
    }

    @Test func theCacheIsBounded() throws {
        let small = UserTokenCache(capacity: 8, maxLifetime: .seconds(86_400))
        let now = TokenIssuer.time(TokenIssuer.now)
        let tokens = (0..<100).map { index in
            TokenIssuer.token(
                claims: TokenIssuer.claims(#""sub":"u\#(index)","iat":1800000000,"exp":1800003600"#))
        }
        for token in tokens { _ = try small.verify(token, for: TokenIssuer.audience, at: now, by: issuer) }
        let held = tokens.filter { small.holds($0, at: TokenIssuer.now) }
        #expect((4...8).contains(held.count))
        #expect(held.contains(tokens[99]))
    }
}

extension UserTokenCache {
    fileprivate func holds(_ token: String, at seconds: Int64) -> Bool {
        entry(SHA256.hash(token.utf8), at: TokenIssuer.time(seconds)) != nil
    }
}
