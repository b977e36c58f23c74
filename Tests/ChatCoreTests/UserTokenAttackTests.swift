import ChatCore
import Cryptography
import Testing

/// Tokens that must not be taken, each for its own reason. All but those of `signature` are signed with the right key.
@Suite struct UserTokenAttackTests {
    private let issuer = TokenIssuer()

    @Test(arguments: [
        "none", "None", "NONE", "nOnE", "", "hs256", "Hs256", " HS256", "HS256 ", "HS256\\u0000", "HS384", "HS512",
        "RS256", "ES256", "PS256", "eddsa", "Ed25519", "EdDSA", "dir", "A256GCMKW",
    ])
    func anotherAlgorithm(_ algorithm: String) {
        let header = #"{"alg":"\#(algorithm)","kid":"key-HS256"}"#
        #expect(issuer.refusal(of: TokenIssuer.token(header: header)) == .invalid(.algorithm))
    }

    @Test(arguments: [
        "{}", #"{"kid":"key-HS256"}"#, #"{"alg":null,"kid":"key-HS256"}"#, #"{"alg":["HS256"],"kid":"key-HS256"}"#,
        #"{"alg":256,"kid":"key-HS256"}"#, #"{"alg":{"HS256":1},"kid":"key-HS256"}"#,
        #"{"ALG":"HS256","kid":"key-HS256"}"#,
    ])
    func noAlgorithm(_ header: String) {
        #expect(issuer.refusal(of: TokenIssuer.token(header: header)) == .invalid(.algorithm))
    }

    /// The public key is public: whoever takes its algorithm from the token takes a token that anyone can sign.
    @Test func thePublicKeyAsTheSecret() {
        let pem =
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
            + "-----END PUBLIC KEY-----\n"
        let jwk = #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
        for secret in [Array(pem.utf8), Array(pem.dropLast().utf8), Array(jwk.utf8), TokenIssuer.publicBytes] {
            let swapped = TokenIssuer.token(
                header: #"{"alg":"HS256","kid":"key-EdDSA"}"#, secret: SecretKey(secret))
            #expect(issuer.refusal(of: swapped) == .invalid(.algorithm))
            // With the key's own alg it is an HMAC in place of a signature.
            let named = TokenIssuer.token(header: #"{"alg":"EdDSA","kid":"key-EdDSA"}"#, secret: SecretKey(secret))
            #expect(issuer.refusal(of: named) == .invalid(.signature))
        }
    }

    @Test(arguments: [
        "key-of-another-application", "key-hs256", "key-HS256 ", " key-HS256", "key-HS256\\u0000", "key-HS25",
        "../../dev/null", "/etc/passwd", "key-HS256/../key-HS256", "http://attacker.example/key", "' OR '1'='1", "*",
        "",
        "key–HS256", String(repeating: "k", count: 41), String(repeating: "k", count: 2000),
    ])
    func anotherKey(_ id: String) {
        let header = #"{"alg":"HS256","kid":"\#(id)"}"#
        #expect(issuer.refusal(of: TokenIssuer.token(header: header)) == .invalid(.key))
    }

    @Test(arguments: [
        #"{"alg":"HS256"}"#, #"{"alg":"HS256","kid":null}"#, #"{"alg":"HS256","kid":0}"#,
        #"{"alg":"HS256","kid":["key-HS256"]}"#, #"{"alg":"HS256","kid":{"id":"key-HS256"}}"#,
        #"{"alg":"HS256","KID":"key-HS256"}"#,
    ])
    func noKey(_ header: String) {
        #expect(issuer.refusal(of: TokenIssuer.token(header: header)) == .invalid(.key))
        // Even where there is only one.
        issuer.set([TokenIssuer.secretKey])
        #expect(issuer.refusal(of: TokenIssuer.token(header: header)) == .invalid(.key))
    }

    @Test func aKeyOfAnotherApplication() {
        let other = TokenIssuer()
        other.set([UserTokenKey(id: UserTokenKey.ID("key-other")!, .secret(TokenIssuer.secret))!])
        let token = TokenIssuer.token(header: #"{"alg":"HS256","kid":"key-other"}"#)
        #expect(other.refusal(of: token) == nil)
        #expect(issuer.refusal(of: token) == .invalid(.key))
        // The same id in two applications, which cannot happen, names two keys.
        other.set([UserTokenKey(id: TokenIssuer.secretKey.id, .secret(.random()))!])
        #expect(other.refusal(of: TokenIssuer.token()) == .invalid(.signature))
    }

    /// Known without looking at the signature: a revoked key proves nothing.
    @Test func aRevokedKey() {
        var key = TokenIssuer.secretKey
        key.state = .revoked
        issuer.set([key])
        #expect(issuer.refusal(of: TokenIssuer.token()) == .revoked)
    }

    @Test(arguments: [
        #""jku":"https://attacker.example/keys.json""#, #""x5u":"https://attacker.example/key.pem""#,
        #""jwk":{"kty":"oct","k":"AAECAwQ"}"#, #""x5c":["MIIB"]"#, #""crit":["exp"]"#, #""crit":[]"#, #""crit":null"#,
        #""b64":false"#, #""b64":true"#, #""zip":"DEF""#, #""enc":"A256GCM""#, #""cri\u0074":["exp"]"#,
    ])
    func aParameterThatLeadsAway(_ member: String) {
        let first = #"{\#(member),"alg":"HS256","kid":"key-HS256"}"#
        let last = #"{"alg":"HS256","kid":"key-HS256",\#(member)}"#
        #expect(issuer.refusal(of: TokenIssuer.token(header: first)) == .invalid(.headerParameter))
        #expect(issuer.refusal(of: TokenIssuer.token(header: last)) == .invalid(.headerParameter))
    }

    @Test(arguments: [#""jwt""#, #""at+jwt""#, #""JOSE""#, #""""#, "null", #"["JWT"]"#, #""JWT ""#, "1"])
    func anotherType(_ type: String) {
        let header = #"{"alg":"HS256","kid":"key-HS256","typ":\#(type)}"#
        #expect(issuer.refusal(of: TokenIssuer.token(header: header)) == .invalid(.type))
    }

    @Test(arguments: [
        "[]", "null", #""HS256""#, "{", #"{"alg":"HS256","kid":"key-HS256""#,
        #"{"alg":"HS256","kid":"key-HS256",}"#, #"{"alg":"HS256","kid":"key-HS256"}{}"#,
        #"{"alg":"HS256","kid":"key-HS256"}x"#, "\u{FEFF}" + TokenIssuer.header, #"{'alg':'HS256','kid':'key-HS256'}"#,
        #"{"alg":"HS256","alg":"HS256","kid":"key-HS256"}"#,
        #"{"alg":"none","alg":"HS256","kid":"key-HS256"}"#, #"{"alg":"HS256","alg":"none","kid":"key-HS256"}"#,
        #"{"alg":"HS256","kid":"key-HS256","kid":"key-EdDSA"}"#,
        #"{"alg":"HS256","\u0061lg":"HS256","kid":"key-HS256"}"#,
        #"{"alg":"HS256","kid":"key-HS256","x":1,"x":1}"#,
        #"{"alg":"HS256","kid":"key-HS256","x":\#(String(repeating: "[", count: 1000))}"#,
    ])
    func aHeaderThatIsNone(_ header: String) {
        #expect(issuer.refusal(of: TokenIssuer.token(header: header)) == .invalid(.header))
    }

    @Test(arguments: [
        "[]", "null", "1", #""u1""#, "{", #"{"sub":"u1""#, TokenIssuer.claims + "{}",
        "\u{FEFF}" + TokenIssuer.claims,
        TokenIssuer.claims(#""sub":"u1","sub":"u1","iat":1800000000,"exp":1800003600"#),
        TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800003600,"exp":1800003600"#),
        TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800003600,"\u0065xp":1800003600"#),
        TokenIssuer.claims(#""aud":"app_3kTMd8XwRvBz5NcY1qLh7P","sub":"u1","iat":1800000000,"exp":1800003600"#),
        TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800003600,"role":"a","role":"b""#),
        // Numbers that JSON does not have.
        TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":01800003600"#),
        TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800003600,"x":NaN"#),
        // A signed token as the claims.
        TokenIssuer.token(), #""\#(TokenIssuer.token())""#,
    ])
    func claimsThatAreNone(_ claims: String) {
        #expect(issuer.refusal(of: TokenIssuer.token(claims: claims)) == .invalid(.claims))
    }

    @Test func textThatIsNotUTF8() {
        let bad = Array(#"{"alg":"HS256","kid":"key-HS256","x":""#.utf8) + [0xFF] + Array(#""}"#.utf8)
        let badClaims =
            Array(TokenIssuer.claims.utf8.dropLast()) + Array(#","x":""#.utf8) + [0xC0, 0x80] + Array(#""}"#.utf8)
        let (header, claims) = (Array(TokenIssuer.header.utf8), Array(TokenIssuer.claims.utf8))
        #expect(
            issuer.refusal(of: UserToken.sign(header: bad, claims: claims, secret: TokenIssuer.secret))
                == .invalid(.header))
        #expect(
            issuer.refusal(of: UserToken.sign(header: header, claims: badClaims, secret: TokenIssuer.secret))
                == .invalid(.claims))
    }

    @Test(arguments: [
        #""1800003600""#, "1800003600.0", "1800003600.5", "18000036e2", "1.8000036E9", "-1", "-0", "null", "true",
        "[1800003600]", "{}", "9223372036854775807", "9223372036854775808", "99999999999999999999999999999999999999",
        "1e400", "253402300800", "Infinity",
    ])
    func timesThatAreNone(_ time: String) {
        for claims in [
            #""sub":"u1","iat":1800000000,"exp":\#(time)"#, #""sub":"u1","iat":\#(time),"exp":1800003600"#,
            #""sub":"u1","iat":1800000000,"exp":1800003600,"nbf":\#(time)"#,
        ] {
            let refusal = issuer.refusal(of: TokenIssuer.token(claims: TokenIssuer.claims(claims)))
            #expect(refusal == .invalid(.times), "\(claims)")
        }
    }

    @Test(arguments: [
        #""sub":"u1","iat":1800000000"#, #""sub":"u1","exp":1800003600"#, #""sub":"u1""#,
    ])
    func timesThatAreMissing(_ claims: String) {
        #expect(issuer.refusal(of: TokenIssuer.token(claims: TokenIssuer.claims(claims))) == .invalid(.times))
    }

    /// Far ahead, the largest, at once, and before it was issued.
    @Test(arguments: [1_800_086_401, 1_900_000_000, 253_402_300_799, 1_800_000_000, 1_799_999_999, 0])
    func lifetimesThatAreRefused(_ end: Int64) {
        let claims = TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":\#(end)"#)
        #expect(issuer.refusal(of: TokenIssuer.token(claims: claims)) == .invalid(.lifetime))
    }

    @Test(arguments: [1_800_000_006, 1_800_000_061, 1_800_086_400, 253_402_300_000])
    func issuedInTheFuture(_ begin: Int64) {
        for more in ["", #","nbf":1700000000"#] {
            let claims = TokenIssuer.claims(#""sub":"u1","iat":\#(begin),"exp":\#(begin + 60)\#(more)"#)
            #expect(issuer.refusal(of: TokenIssuer.token(claims: claims)) == .notYetValid)
        }
    }

    @Test(arguments: [
        #"["app_3kTMd8XwRvBz5NcY1qLh7P"]"#, #"["app_3kTMd8XwRvBz5NcY1qLh7P","app_other"]"#, "[]", "null", "1",
        #""app_3kTMd8XwRvBz5NcY1qLh7Q""#, #""APP_3kTMd8XwRvBz5NcY1qLh7P""#, #""app_3kTMd8XwRvBz5NcY1qLh7P ""#, #""""#,
        #""*""#,
    ])
    func anotherAudience(_ audience: String) {
        let claims = #"{"aud":\#(audience),"sub":"u1","iat":1800000000,"exp":1800003600}"#
        #expect(issuer.refusal(of: TokenIssuer.token(claims: claims)) == .invalid(.audience))
    }

    @Test func noAudience() {
        let claims = #"{"sub":"u1","iat":1800000000,"exp":1800003600}"#
        #expect(issuer.refusal(of: TokenIssuer.token(claims: claims)) == .invalid(.audience))
    }

    @Test(arguments: [
        #""sub":"""#, #""sub":1"#, #""sub":null"#, #""sub":["u1"]"#, #""sub":"a\u0000""#, #""sub":"a\nb""#,
        #""sub":"\u007f""#, #""sub":"\u0085""#, #""sub":"me""#, #""sub":".""#, #""sub":"\u002e.""#,
        #""sub":"a\u202eb""#, #""sub":"\#(String(repeating: "u", count: 129))""#, #""name":"u1""#,
    ])
    func anotherSubject(_ subject: String) {
        let claims = TokenIssuer.claims(#"\#(subject),"iat":1800000000,"exp":1800003600"#)
        #expect(issuer.refusal(of: TokenIssuer.token(claims: claims)) == .invalid(.subject))
    }

    @Test(arguments: [
        "7", #""7""#, "null", "{}", #"["7"]"#, "[7.0]", "[0]", "[-7]", "[7,null]", "[[7]]", "[9223372036854775808]",
        #"[7,"*"]"#,
    ])
    func chatsThatAreNone(_ chats: String) {
        let claims = TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800003600,"chats":\#(chats)"#)
        #expect(issuer.refusal(of: TokenIssuer.token(claims: claims)) == .invalid(.chats))
    }

    @Test(arguments: ["1", "null", "[]"])
    func anIDThatIsNone(_ id: String) {
        let claims = TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800003600,"jti":\#(id)"#)
        #expect(issuer.refusal(of: TokenIssuer.token(claims: claims)) == .invalid(.id))
    }

    @Test func anotherForm() throws {
        let token = TokenIssuer.token()
        let parts = token.split(separator: ".")
        let (header, claims, signature) = (parts[0], parts[1], parts[2])
        let forms = [
            "", ".", "..", "...", "\(header)", "\(header).\(claims)", "\(header).\(claims).",
            ".\(claims).\(signature)", "\(header)..\(signature)", "\(token).", ".\(token)", "\(token).\(signature)",
            "\(header).\(claims).\(signature).\(signature).\(signature)",
            // White space, in every place.
            " \(token)", "\(token) ", "\(token)\n", "\(token)\r\n", "\t\(token)", "\(header) .\(claims).\(signature)",
            "\(header). \(claims).\(signature)", "\(header).\(claims).\n\(signature)", "\u{FEFF}\(token)",
            // Padding, and the other alphabet.
            "\(header)=.\(claims).\(signature)", "\(header)==.\(claims).\(signature)", "\(token)=", "\(token)==",
            "\(header).\(claims)+.\(signature)", "\(header).\(claims)/.\(signature)",
            "\(header).\(claims)%2D.\(signature)",
            // JSON serialisations (RFC 7515, 7.2).
            #"{"payload":"\#(claims)","protected":"\#(header)","signature":"\#(signature)"}"#,
            #"{"payload":"\#(claims)","signatures":[{"protected":"\#(header)","signature":"\#(signature)"}]}"#,
            #""\#(token)""#, "Bearer \(token)", "\u{0}\(token)", "\(token)\u{0}",
        ]
        for form in forms { #expect(issuer.refusal(of: form) == .invalid(.form), "\(form)") }
        #expect(issuer.refusal(of: token) == nil)
    }

    /// The last character of 43 carries four bits of the signature and two that must be zero.
    @Test func aSignatureHasOneSpelling() throws {
        let token = TokenIssuer.token()
        let taken = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".filter { last in
            issuer.refusal(of: token.dropLast() + String(last)) == nil
        }
        #expect(taken == String(token.suffix(1)))
    }

    @Test func anotherSignature() throws {
        let token = TokenIssuer.token()
        let signed = token.prefix(upTo: try #require(token.lastIndex(of: ".")))
        let right = try #require(Base64URL.decode(Array(token.utf8.suffix(43))[...]))
        for index in right.indices {
            var altered = right
            altered[index] ^= 1
            #expect(issuer.refusal(of: "\(signed).\(Base64URL.encode(altered))") == .invalid(.signature))
        }
        for length in [1, 16, 31] {
            #expect(
                issuer.refusal(of: "\(signed).\(Base64URL.encode(Array(right.prefix(length))))")
                    == .invalid(.signature))
        }
        #expect(issuer.refusal(of: "\(signed).\(Base64URL.encode(right + right))") == .invalid(.signature))
        #expect(issuer.refusal(of: TokenIssuer.token(secret: SecretKey([]))) == .invalid(.signature))
        #expect(issuer.refusal(of: TokenIssuer.token(secret: .random())) == .invalid(.signature))
        // Another's claims under this signature.
        let other = TokenIssuer.token(claims: TokenIssuer.claims(#""sub":"u2","iat":1800000000,"exp":1800003600"#))
        let mixed = other.prefix(upTo: try #require(other.lastIndex(of: "."))) + token.suffix(44)
        #expect(issuer.refusal(of: String(mixed)) == .invalid(.signature))
    }

    /// Refused before anything is read of it.
    @Test func oneByteTooLong() throws {
        func token(padding: Int) -> String {
            let pad = String(repeating: "x", count: padding)
            return TokenIssuer.token(
                claims: TokenIssuer.claims(#""sub":"u1","iat":1800000000,"exp":1800003600,"x":"\#(pad)""#))
        }
        let longest = try #require((2800...3000).map(token(padding:)).last { $0.utf8.count <= 4096 })
        #expect(longest.utf8.count >= 4095)
        #expect(issuer.refusal(of: longest) == nil)
        let before = issuer.lookedFor
        #expect(issuer.refusal(of: token(padding: 3000)) == .invalid(.length))
        #expect(issuer.refusal(of: String(repeating: "a", count: 4097)) == .invalid(.length))
        #expect(issuer.refusal(of: String(repeating: ".", count: 1 << 20)) == .invalid(.length))
        #expect(issuer.refusal(of: String(repeating: ".", count: 4096)) == .invalid(.form))
        #expect(issuer.lookedFor == before)
    }
}
