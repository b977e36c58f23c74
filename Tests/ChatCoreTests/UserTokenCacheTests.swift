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
        #expect(cache.holds(short, at: 1_800_000_070))
        #expect(throws: UserTokenRefusal.expired) { try verify(short, at: 1_800_000_070) }
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
        issuer.set([UserTokenKey(id: key.id, .secret(.random()))!])
        #expect(throws: UserTokenRefusal.invalid(.signature)) { try verify(token) }
        issuer.set([UserTokenKey(id: key.id, TokenIssuer.publicKey.material)!])
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
        issuer.set(UserStanding(validAfter: TokenIssuer.time(1_799_999_994)), of: user)
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

    /// Tokens of some applications, a user each, verified at a time; those that are held then.
    private func held(
        _ applications: Range<Int>, users: Int, at seconds: Int64 = TokenIssuer.now, in cache: UserTokenCache
    ) throws -> [String] {
        var tokens: [String] = []
        for user in 0..<users {
            for application in applications {
                let claims = TokenIssuer.claims(
                    #""sub":"u\#(user)","iat":1800000000,"exp":1800003600"#, for: "app_\(application)")
                tokens.append(TokenIssuer.token(claims: claims))
                _ = try cache.verify(
                    tokens[tokens.count - 1], for: "app_\(application)", at: TokenIssuer.time(seconds), by: issuer)
            }
        }
        return tokens.filter { cache.holds($0, at: seconds) }
    }

    @Test func theCacheIsBounded() throws {
        let small = UserTokenCache(capacity: 32, maxLifetime: .seconds(86_400))
        let held = try held(0..<50, users: 4, in: small)
        #expect((16...32).contains(held.count))
    }

    /// An application with many users, or one that means harm, has a quarter, and drops no token of others.
    @Test func anApplicationHasItsShare() throws {
        let small = UserTokenCache(capacity: 32, maxLifetime: .seconds(86_400))
        let others = try held(0..<2, users: 2, in: small)
        #expect(others.count == 4)
        for seconds in [TokenIssuer.now, TokenIssuer.now + 59] {
            #expect(try held(2..<3, users: 500, at: seconds, in: small).count == 4)
            #expect(others.allSatisfy { small.holds($0, at: seconds) })
        }
        // After a minute it has the same share again.
        #expect(try held(2..<3, users: 500, at: TokenIssuer.now + 60, in: small).count == 4)
    }
}

extension UserTokenCache {
    fileprivate func holds(_ token: String, at seconds: Int64) -> Bool {
        entry(SHA256.hash(token.utf8), at: TokenIssuer.time(seconds)) != nil
    }
}
