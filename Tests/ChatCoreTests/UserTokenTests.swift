import ChatCore
import Cryptography
import Testing

/// What is taken, and when.
@Suite struct UserTokenTests {
    private let issuer = TokenIssuer()
    private let user = User.ID("u1")!

    @Test func aTokenSaysWhoAndForHowLong() throws {
        let token = try issuer.verify(
            UserToken.sign(
                for: user, audience: TokenIssuer.audience, issuedAt: TokenIssuer.time(1_800_000_000),
                expiresAt: TokenIssuer.time(1_800_000_600), chats: [9, 2, 5].map { Chat.Number($0) },
                keyID: TokenIssuer.secretKey.id, secret: TokenIssuer.secret))
        #expect(token.user == user)
        #expect(token.audience == TokenIssuer.audience)
        #expect(token.keyID == TokenIssuer.secretKey.id)
        #expect(token.issuedAt == TokenIssuer.time(1_800_000_000))
        #expect(token.expiresAt == TokenIssuer.time(1_800_000_600))
        #expect((1...10).filter { token.includes(Chat.Number($0)) } == [2, 5, 9])
    }

    @Test func withoutChatsItIsGoodForAllAndWithNoneForNone() throws {
        #expect(try issuer.verify(TokenIssuer.token()).includes(Chat.Number(7)))
        let none = TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800003600,"chats":[]"#)
        #expect(try !issuer.verify(TokenIssuer.token(claims: none)).includes(Chat.Number(7)))
    }

    @Test(arguments: [
        #"{"alg":"HS256","kid":"key-HS256"}"#,
        #"{"kid":"key-HS256","typ":"luciq-user+jwt","alg":"HS256"}"#,
        " {\n\t\"alg\" : \"HS256\" , \"kid\" : \"key-HS256\", \"cty\":\"x\", \"x\":{\"a\":[1,null]} } ",
        #"{"\u0061lg":"\u0048S256","kid":"key\u002dHS256"}"#,
    ])
    func aHeaderMayBeWrittenAsJSONAllows(_ header: String) {
        #expect(issuer.refusal(of: TokenIssuer.token(header: header)) == nil)
    }

    @Test(arguments: [
        #""sub":"u1","iat":1800000000,"exp":1800003600,"iss":"shop","scope":["a"],"x":{"a":1,"a":2}"#,
        #""sub":"u1","iat":1800000000,"exp":1800003600,"jti":"","nbf":0"#,
        #""sub":"\#(String(repeating: "u", count: 128))","iat":0,"exp":86400,"nbf":1"#,
        #""sub":"Zoë / 日本 👩‍👩‍👧","iat":1800000000,"exp":1800086400"#,
    ])
    func claimsMayHoldMore(_ claims: String) {
        let now: Int64 = claims.contains(#""iat":0"#) ? 86_400 : TokenIssuer.now
        #expect(issuer.refusal(of: TokenIssuer.token(claims: TokenIssuer.claims(claims)), at: now) == nil)
    }

    /// From 5 s before `iat` until 60 s after `exp`.
    @Test(
        arguments: [
            (1_799_999_994, UserTokenRefusal.notYetValid), (1_799_999_995, nil), (1_800_000_000, nil),
            (1_800_003_600, nil), (1_800_003_659, nil), (1_800_003_660, .expired), (1_900_000_000, .expired),
        ] as [(Int64, UserTokenRefusal?)])
    func clocksMayDiffer(_ now: Int64, _ refusal: UserTokenRefusal?) {
        #expect(issuer.refusal(of: TokenIssuer.token(), at: now) == refusal)
    }

    @Test(
        arguments: [
            (1_800_000_939, UserTokenRefusal.notYetValid), (1_800_000_940, nil), (1_800_001_000, nil),
        ] as [(Int64, UserTokenRefusal?)])
    func notBeforeIsKept(_ now: Int64, _ refusal: UserTokenRefusal?) {
        let claims = TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800003600,"nbf":1800001000"#)
        #expect(issuer.refusal(of: TokenIssuer.token(claims: claims), at: now) == refusal)
    }

    @Test func aTokenLivesAsLongAsTheServerAllows() {
        let claims = TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800086400"#)
        let token = TokenIssuer.token(claims: claims)
        #expect(issuer.refusal(of: token) == nil)
        #expect(issuer.refusal(of: token, maxLifetime: .seconds(86_399)) == .invalid(.lifetime))
        #expect(issuer.refusal(of: TokenIssuer.token(), maxLifetime: .seconds(3600)) == nil)
    }

    /// A setting of any size overflows nothing, and allows no more than a leap year.
    @Test(arguments: [.seconds(Int64.max), .seconds(Int64.max / 1_000_000), .seconds(367 * 86_400)] as [Duration])
    func noServerAllowsMoreThanAYear(_ maxLifetime: Duration) {
        let cases: [(Int64, UserTokenRefusal?)] = [(31_622_400, nil), (31_622_401, .invalid(.lifetime))]
        for (lifetime, refusal) in cases {
            let claims = TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":\#(1_800_000_000 + lifetime)"#)
            #expect(issuer.refusal(of: TokenIssuer.token(claims: claims), maxLifetime: maxLifetime) == refusal)
        }
        for none in [Duration.zero, .seconds(-1), .seconds(Int64.min)] {
            #expect(issuer.refusal(of: TokenIssuer.token(), maxLifetime: none) == .invalid(.lifetime))
        }
    }

    @Test func aSecretHasAtLeast32Bytes() throws {
        let id = TokenIssuer.secretKey.id
        for length in [0, 1, 31] {
            #expect(UserTokenKey(id: id, .secret(SecretKey([UInt8](repeating: 7, count: length)))) == nil)
        }
        for length in [32, 64] {
            #expect(UserTokenKey(id: id, .secret(SecretKey([UInt8](repeating: 7, count: length)))) != nil)
        }
    }

    /// Numbers that a token repeats cost no memory.
    @Test func chatsAreListedOnce() throws {
        let claims = TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800003600,"chats":[7,3,7,7,3]"#)
        #expect(try issuer.verify(TokenIssuer.token(claims: claims)).chats == [Chat.Number(3), Chat.Number(7)])
    }

    @Test func aKeyVerifiesUntilItIsRetired() {
        func refusal(_ state: UserTokenKey.State, at now: Int64) -> UserTokenRefusal? {
            var key = TokenIssuer.secretKey
            key.state = state
            issuer.set([key])
            return issuer.refusal(of: TokenIssuer.token(), at: now)
        }
        #expect(refusal(.retiring(until: TokenIssuer.time(1_800_000_010)), at: 1_800_000_009) == nil)
        // The leeway is for clocks of others.
        #expect(refusal(.retiring(until: TokenIssuer.time(1_800_000_010)), at: 1_800_000_010) == .revoked)
        #expect(refusal(.revoked, at: 1_800_000_000) == .revoked)
        #expect(refusal(.active, at: 1_800_000_000) == nil)
    }

    /// `iat` has whole seconds: a token of the same second may be older than the revocation.
    @Test func tokensOfBeforeAMomentCanBeRevoked() throws {
        let token = try issuer.verify(TokenIssuer.token())
        #expect(throws: UserTokenRefusal.revoked) {
            try token.check(UserStanding(validAfter: TokenIssuer.time(1_800_000_000)))
        }
        #expect(throws: UserTokenRefusal.revoked) {
            try token.check(UserStanding(isBlocked: true, validAfter: TokenIssuer.time(1_900_000_000)))
        }
        try token.check(UserStanding(validAfter: TokenIssuer.time(1_799_999_994)))
        try token.check(UserStanding())
        #expect(throws: UserTokenRefusal.blocked) { try token.check(UserStanding(isBlocked: true)) }
    }

    /// Whatever was taken before a revocation is refused after it, however far ahead its signer's clock is.
    @Test func aRevocationEndsEveryTokenThatWasTakenBefore() throws {
        let now = TokenIssuer.now
        let revoked = UserStanding(validAfter: TokenIssuer.time(now))
        for ahead in Int64(0)...90 {
            let token = TokenIssuer.token(
                claims: TokenIssuer.claims(#""sub":"u1","iat":\#(now + ahead),"exp":\#(now + 3600)"#))
            guard let before = try? issuer.verify(token, at: now) else {
                // Never taken, and by its own word of after the revocation. It becomes valid with the clock.
                #expect(ahead > 5)
                #expect(issuer.refusal(of: token, at: now) == .notYetValid)
                #expect(issuer.refusal(of: token, at: now + ahead - 6) == .notYetValid)
                try issuer.verify(token, at: now + ahead).check(revoked)
                continue
            }
            #expect(throws: UserTokenRefusal.revoked, "\(ahead) s ahead") { try before.check(revoked) }
            for later in [0, 5, 30, 3600] as [Int64] {
                let after = try issuer.verify(token, at: now + later)
                #expect(throws: UserTokenRefusal.revoked) { try after.check(revoked) }
            }
        }
    }

    @Test func everyRefusalHasItsCodeAndASentence() {
        let refusals: [UserTokenRefusal] =
            [.expired, .notYetValid, .revoked, .blocked] + UserTokenRefusal.Fault.allCases.map { .invalid($0) }
        #expect(
            Set(refusals.map(\.code)) == [
                "token_expired", "token_not_yet_valid", "token_revoked", "user_blocked", "token_invalid",
            ])
        #expect(Set(refusals.map(\.sentence)).count == refusals.count)
        for refusal in refusals {
            #expect(refusal.sentence.hasSuffix("."))
            #expect(refusal.sentence.utf8.count < 120)
        }
    }

    @Test func aKeyHasAnIDOfOurOwnLetters() throws {
        for text in ["k", "key-HS256_1", String(repeating: "k", count: 40)] {
            #expect(UserTokenKey.ID(text)?.text == text)
        }
        for text in ["", "a b", "a/b", "a.b", "../a", "é", "a\u{0}", "k\u{301}", String(repeating: "k", count: 41)] {
            #expect(UserTokenKey.ID(text) == nil)
        }
        let made = Set((0..<1000).map { _ in UserTokenKey.ID.random() })
        #expect(made.count == 1000 && made.allSatisfy { $0.text.utf8.count == 16 })
    }

    @Test func aUserIsItsBytes() throws {
        let (composed, decomposed) = ("zo\u{EB}", "zoe\u{308}")
        #expect(composed == decomposed)
        #expect(User.ID(composed) != User.ID(decomposed))
        #expect(Set([User.ID(composed), User.ID(decomposed), User.ID(composed)]).count == 2)
        for text in ["", String(repeating: "é", count: 65), "a\u{0}", "a\nb", "\u{7F}", "\u{85}"] {
            #expect(User.ID(text) == nil)
        }
    }

    /// What means something else in a path, and what disorders a line that shows it.
    @Test func aUserStandsInPathsAndLines() {
        for text in ["me", ".", ".."] { #expect(User.ID(text) == nil) }
        for text in ["Me", "me2", "...", ".a", "a."] { #expect(User.ID(text) != nil) }
        for scalar in "\u{2028}\u{2029}\u{61C}\u{200E}\u{200F}\u{202A}\u{202E}\u{2066}\u{2069}".unicodeScalars {
            #expect(User.ID("a\(scalar)b") == nil)
        }
        // Emoji are joined by U+200D.
        #expect(User.ID("👩‍👧") != nil && User.ID("דנה") != nil)
    }
}
