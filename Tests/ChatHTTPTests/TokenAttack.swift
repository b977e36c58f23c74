import Cryptography
import TestSupport
import Testing

@testable import ChatCore

/// A token that must not be taken, and what its bearer is told.
struct TokenAttack: Sendable {
    let name: String
    let token: String
    /// The check that refuses it; nil where it has no form that is looked at.
    let refusal: UserTokenRefusal

    init(_ name: String, _ token: String, _ refusal: UserTokenRefusal) {
        (self.name, self.token, self.refusal) = (name, token, refusal)
    }

    init(_ name: String, _ token: String, _ fault: UserTokenRefusal.Fault) { self.init(name, token, .invalid(fault)) }

    /// A signature was computed: all else was refused before.
    var costsASignature: Bool { refusal == .invalid(.signature) }

    /// The code of the close frame (docs/streams.md).
    var closeCode: Int { refusal == .expired ? 4310 : 4401 }

    /// Whether it can be in a header: white space at an end of a field's value is none of the value's.
    var fitsHeader: Bool {
        token.utf8.allSatisfy { (0x20..<0x7F).contains($0) } && token.last != " " && !token.isEmpty
    }
}

/// Makes tokens for an application, whatever they say. All are signed right where nothing else is said.
struct TokenForge: Sendable {
    let audience: String
    let kid: String
    let secret: SecretKey
    /// Of an Ed25519 key of the application.
    let publicKid: String
    /// A key of another application.
    let other: (audience: String, kid: String, secret: SecretKey)
    let revoked: (kid: String, secret: SecretKey)
    let now: Int64

    /// RFC 8037, A.2.
    static let publicJWK = #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
    private static let publicPEM =
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
        + "-----END PUBLIC KEY-----\n"
    private static let publicBytes = Base64URL.decode(Array("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".utf8)[...])!

    init(_ site: TokenSite) async throws {
        let other = try await TokenSite(site.server)
        func make(_ json: String) async throws -> [String: Any] {
            try await site.server.client.post(site.owner + "/jwt-keys", json: json).json
        }
        let uploaded = try await make(
            #"{"alg":"EdDSA","public_key":"\#(Self.publicJWK.replacing("\"", with: "\\\""))"}"#)
        let revoked = try await make("{}")
        audience = site.id
        kid = site.kid.text
        secret = site.secret
        publicKid = try #require(uploaded["kid"] as? String)
        self.other = (other.id, other.kid.text, other.secret)
        self.revoked = (
            try #require(revoked["kid"] as? String),
            SecretKey(Array(try #require(revoked["secret"] as? String).utf8))
        )
        _ = try await site.server.client.send("DELETE", site.owner + "/jwt-keys/\(self.revoked.kid)")
        now = WallClock.system.now().microseconds / 1_000_000
    }

    var header: String { #"{"alg":"HS256","kid":"\#(kid)"}"# }
    /// Times and user, without the audience.
    var rest: String { #""sub":"u1","iat":\#(now),"exp":\#(now + 600)"# }
    var claims: String { #"{"aud":"\#(audience)",\#(rest)}"# }

    func token(header: String? = nil, claims: String? = nil, secret: SecretKey? = nil) -> String {
        UserToken.sign(
            header: Array((header ?? self.header).utf8), claims: Array((claims ?? self.claims).utf8),
            secret: secret ?? self.secret)
    }

    var attacks: [TokenAttack] {
        algorithms + keys + headers + claimsThatAreNone + times + others + forms + signatures
    }

    private var algorithms: [TokenAttack] {
        let spelled = [
            "none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "RS256", "ES256", "Ed25519", "EdDSA",
        ]
        var attacks = spelled.map { alg in
            TokenAttack("alg \(alg)", token(header: #"{"alg":"\#(alg)","kid":"\#(kid)"}"#), .algorithm)
        }
        for alg in ["null", "[\"HS256\"]", "256"] {
            attacks.append(.init("alg \(alg)", token(header: #"{"alg":\#(alg),"kid":"\#(kid)"}"#), .algorithm))
        }
        attacks.append(.init("no alg", token(header: #"{"kid":"\#(kid)"}"#), .algorithm))
        // The public key is public: whoever believes `alg` takes what anyone can sign.
        for bytes in [Array(Self.publicPEM.utf8), Array(Self.publicJWK.utf8), Self.publicBytes] {
            for (alg, fault) in [("HS256", UserTokenRefusal.Fault.algorithm), ("EdDSA", .signature)] {
                attacks.append(
                    .init(
                        "the public key of \(bytes.count) bytes as a secret, \(alg)",
                        token(header: #"{"alg":"\#(alg)","kid":"\#(publicKid)"}"#, secret: SecretKey(bytes)), fault))
            }
        }
        return attacks
    }

    private var keys: [TokenAttack] {
        let ids = [
            "unknown", "../../dev/null", "/etc/passwd", "' OR '1'='1", kid + " ", kid + "\\u0000", other.kid,
            String(repeating: "k", count: 2000), "",
        ]
        var attacks = ids.map { id in
            TokenAttack("kid \(id.prefix(20))", token(header: #"{"alg":"HS256","kid":"\#(id)"}"#), .key)
        }
        for id in [#""#, #","kid":null"#, #","kid":["\#(kid)"]"#, #","KID":"\#(kid)""#] {
            attacks.append(.init("kid is \(id)", token(header: #"{"alg":"HS256"\#(id)}"#), .key))
        }
        let theirs = #"{"alg":"HS256","kid":"\#(other.kid)"}"#
        return attacks + [
            .init("another application's key", token(header: theirs, secret: other.secret), .key),
            .init(
                "for another application, by our key",
                token(claims: claims.replacing(audience, with: other.audience)), .key),
            .init(
                "for an application that is none",
                token(claims: claims.replacing(audience, with: Tenant.PublicID.random().text)), .key),
            .init(
                "a revoked key", token(header: #"{"alg":"HS256","kid":"\#(revoked.kid)"}"#, secret: revoked.secret),
                UserTokenRefusal.revoked),
            // Anyone may learn that: it is not for who has the secret.
            .init(
                "a revoked key, forged", token(header: #"{"alg":"HS256","kid":"\#(revoked.kid)"}"#),
                UserTokenRefusal.revoked),
        ]
    }

    private var headers: [TokenAttack] {
        let parameters = [
            #""jku":"https://attacker.example/keys.json""#, #""x5u":"https://attacker.example/key.pem""#,
            #""jwk":{"kty":"oct","k":"AAECAwQ"}"#, #""jwk":\#(Self.publicJWK)"#, #""x5c":["MIIB"]"#, #""crit":["exp"]"#,
            #""crit":[]"#, #""b64":false"#, #""zip":"DEF""#, #""enc":"A256GCM""#, #""cri\u0074":["exp"]"#,
        ]
        let documents = [
            "[]", "{", #"{"alg":"HS256","alg":"HS256","kid":"\#(kid)"}"#,
            #"{"alg":"none","alg":"HS256","kid":"\#(kid)"}"#,
            #"{"alg":"HS256","kid":"\#(kid)","kid":"\#(publicKid)"}"#,
            #"{"alg":"HS256","\u0061lg":"HS256","kid":"\#(kid)"}"#, #"\#(header){}"#, "\u{FEFF}\(header)",
            #"{"alg":"HS256","kid":"\#(kid)","x":\#(String(repeating: "[", count: 1500))}"#,
        ]
        let types = ["at+jwt", "JWE", "jwt", ""]
        return parameters.map { member in
            TokenAttack(member, token(header: #"{\#(member),"alg":"HS256","kid":"\#(kid)"}"#), .headerParameter)
        }
            + documents.map { TokenAttack("the header \($0.prefix(40))", token(header: $0), .header) }
            + types.map { type in
                TokenAttack(
                    "typ \(type)", token(header: #"{"alg":"HS256","kid":"\#(kid)","typ":"\#(type)"}"#), .type)
            }
    }

    private var claimsThatAreNone: [TokenAttack] {
        let documents = [
            "[]", "null", "\(claims){}", "\u{FEFF}\(claims)", #"{"aud":"\#(audience)","sub":"u1",\#(rest)}"#,
            #"{"aud":"\#(audience)",\#(rest),"exp":\#(now + 60)}"#,
            #"{"aud":"\#(audience)",\#(rest),"\u0065xp":\#(now + 60)}"#,
            #"{"aud":"\#(audience)","aud":"\#(other.audience)",\#(rest)}"#, #"{"aud":"\#(audience)",\#(rest),"x":NaN}"#,
            // A token in a token.
            token(), "\"\(token())\"",
        ]
        return documents.map { TokenAttack("the claims \($0.prefix(60))", token(claims: $0), .claims) }
    }

    private func timed(_ members: String) -> String { token(claims: #"{"aud":"\#(audience)","sub":"u1",\#(members)}"#) }

    private var times: [TokenAttack] {
        let numbers = [
            #""\#(now + 60)""#, "\(now + 60).0", "\(now).5", "1.8e9", "-1", "-0", "null", "true", "[\(now)]",
            "9223372036854775808", "99999999999999999999999999999999999999", "1e400", "253402300800", "Infinity",
        ]
        var attacks: [TokenAttack] = []
        for number in numbers {
            attacks += [
                .init("exp \(number)", timed(#""iat":\#(now),"exp":\#(number)"#), .times),
                .init("iat \(number)", timed(#""iat":\#(number),"exp":\#(now + 60)"#), .times),
                .init("nbf \(number)", timed(#""iat":\#(now),"exp":\#(now + 60),"nbf":\#(number)"#), .times),
            ]
        }
        for end in [now + 86_401, 253_402_300_799, now, now - 1, 0] {
            attacks.append(.init("exp \(end - now) later", timed(#""iat":\#(now),"exp":\#(end)"#), .lifetime))
        }
        return attacks + [
            .init("no exp", timed(#""iat":\#(now)"#), .times), .init("no iat", timed(#""exp":\#(now + 60)"#), .times),
            .init("iat to come", timed(#""iat":\#(now + 3600),"exp":\#(now + 7200)"#), UserTokenRefusal.notYetValid),
            .init("iat far ahead", timed(#""iat":253402300000,"exp":253402300600"#), UserTokenRefusal.notYetValid),
            .init(
                "nbf to come", timed(#""iat":\#(now),"exp":\#(now + 7200),"nbf":\#(now + 3600)"#),
                UserTokenRefusal.notYetValid),
            .init("expired", timed(#""iat":\#(now - 3600),"exp":\#(now - 61)"#), UserTokenRefusal.expired),
            .init("of 1970", timed(#""iat":0,"exp":1"#), UserTokenRefusal.expired),
        ]
    }

    private var others: [TokenAttack] {
        let times = #""iat":\#(now),"exp":\#(now + 600)"#
        let audiences = [
            #"["\#(audience)"]"#, #"["\#(audience)","\#(other.audience)"]"#, "[]", "null", "1", #""\#(audience) ""#,
            #""\#(audience.uppercased())""#, #""""#, #""*""#, #""\#(audience)\u0000""#,
        ]
        let subjects = [
            #""""#, "1", "null", #"["u1"]"#, #""a\u0000""#, #""a\nb""#, #""me""#, #"".""#, #""a\u202eb""#,
            #""\#(String(repeating: "u", count: 129))""#,
        ]
        let chats = ["7", #""7""#, "null", "{}", #"["7"]"#, "[7.0]", "[0]", "[-7]", #"[7,"*"]"#]
        return audiences.map { TokenAttack("aud \($0)", token(claims: #"{"aud":\#($0),\#(rest)}"#), .audience) }
            + subjects.map {
                TokenAttack(
                    "sub \($0.prefix(20))", token(claims: #"{"aud":"\#(audience)","sub":\#($0),\#(times)}"#), .subject)
            }
            + chats.map {
                TokenAttack("chats \($0)", token(claims: #"{"aud":"\#(audience)",\#(rest),"chats":\#($0)}"#), .chats)
            } + [
                .init("no aud", token(claims: #"{\#(rest)}"#), .audience),
                .init("no sub", token(claims: #"{"aud":"\#(audience)",\#(times)}"#), .subject),
                .init("jti 1", token(claims: #"{"aud":"\#(audience)",\#(rest),"jti":1}"#), .id),
            ]
    }

    /// All but one byte of the longest, and one more.
    var longest: (taken: String, refused: String) {
        func padded(_ count: Int) -> String {
            token(claims: #"{"aud":"\#(audience)",\#(rest),"x":"\#(String(repeating: "x", count: count))"}"#)
        }
        let taken = (2700...3000).map(padded).last { $0.utf8.count <= UserToken.maxLength }!
        return (taken, padded(3000))
    }

    private var forms: [TokenAttack] {
        let good = token()
        let parts = good.split(separator: ".").map(String.init)
        let unsecured = Base64URL.encode(Array(#"{"alg":"none"}"#.utf8)) + ".\(parts[1])."
        let exact = String(repeating: "a", count: 2040) + "." + String(repeating: "b", count: 2040) + ".ccccccccccccccc"
        let forms: [(String, String)] = [
            ("unsecured", unsecured), ("no signature", "\(parts[0]).\(parts[1])."),
            ("two parts", "\(parts[0]).\(parts[1])"),
            ("no header", ".\(parts[1]).\(parts[2])"), ("five parts", "\(good).\(parts[1]).\(parts[2])"),
            ("a dot more", good + "."), ("dots", ".."), ("4 KiB of dots", String(repeating: ".", count: 4096)),
            ("a blank first", " " + good), ("a blank last", good + " "), ("a line's end", good + "\n"),
            ("a blank within", "\(parts[0]). \(parts[1]).\(parts[2])"), ("a NUL", good + "\u{0}"),
            ("padding", "\(parts[0])==.\(parts[1]).\(parts[2])"), ("padding last", good + "="),
            ("the other alphabet", "\(parts[0]).\(parts[1])+/.\(parts[2])"), ("quoted", "\"\(good)\""),
            ("percent", good.replacing(".", with: "%2E")), ("Bearer twice", "Bearer \(good)"),
            ("flattened JSON", #"{"payload":"\#(parts[1])","protected":"\#(parts[0])","signature":"\#(parts[2])"}"#),
            (
                "general JSON",
                #"{"payload":"\#(parts[1])","signatures":[{"protected":"\#(parts[0])","signature":"\#(parts[2])"}]}"#
            ),
        ]
        return forms.map { TokenAttack($0, $1, .form) } + [
            .init("a byte too long", exact, .length), .init("the longest and more", longest.refused, .length),
        ]
    }

    private var signatures: [TokenAttack] {
        let good = token()
        let signed = String(good.prefix(upTo: good.lastIndex(of: ".")!))
        let right = Base64URL.decode(Array(good.utf8.suffix(43))[...])!
        var altered = right
        altered[31] ^= 1
        let user = token(claims: claims.replacing("u1", with: "u2"))
        return [
            .init("no secret", token(secret: SecretKey([])), .signature),
            .init("another secret", token(secret: .random()), .signature),
            .init("another application's secret", token(secret: other.secret), .signature),
            .init("a bit of the signature", "\(signed).\(Base64URL.encode(altered))", .signature),
            .init("half a signature", "\(signed).\(Base64URL.encode(Array(right.prefix(16))))", .signature),
            .init("two signatures", "\(signed).\(Base64URL.encode(right + right))", .signature),
            .init(
                "another's claims", String(user.prefix(upTo: user.lastIndex(of: ".")!) + good.suffix(44)), .signature),
        ]
    }
}
