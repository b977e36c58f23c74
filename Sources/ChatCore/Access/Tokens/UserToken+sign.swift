package import Cryptography

extension UserToken {
    /// Signs a token with HS256, for trying out and for tests. A product's tokens are made by its own server.
    ///
    /// - Parameters:
    ///   - issuedAt, expiresAt: cut to whole seconds.
    ///   - chats: the only ones that it is good for; nil for all.
    package static func sign(
        for user: User.ID, audience: String, issuedAt: Timestamp, expiresAt: Timestamp, chats: [Chat.Number]? = nil,
        keyID: UserTokenKey.ID, secret: SecretKey
    ) -> String {
        var header = JSONWriter()
        header.object { json in
            json.member("alg", UserTokenKey.Algorithm.hs256.rawValue)
            json.member("typ", "JWT")
            json.member("kid", keyID.text)
        }
        var claims = JSONWriter()
        claims.object { json in
            json.member("aud", audience)
            json.member("sub", user.text)
            json.member("iat", issuedAt.microseconds / 1_000_000)
            json.member("exp", expiresAt.microseconds / 1_000_000)
            if let chats { json.member("chats", ChatNumbers(chats)) }
        }
        return sign(header: header.bytes, claims: claims.bytes, secret: secret)
    }

    /// Signs any header and claims with HMAC-SHA256, whatever they say.
    package static func sign(header: [UInt8], claims: [UInt8], secret: SecretKey) -> String {
        let signed = Base64URL.encode(header) + "." + Base64URL.encode(claims)
        return signed + "." + Base64URL.encode(SHA256.hmac(signed.utf8, key: secret))
    }

    private struct ChatNumbers: JSONWritable {
        private let numbers: [Chat.Number]

        init(_ numbers: [Chat.Number]) { self.numbers = numbers }

        func write(to json: inout JSONWriter) {
            json.array { json in for number in numbers { json.element(number.rawValue) } }
        }
    }
}
