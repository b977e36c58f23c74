// The checks are our own, all of them, in one order (docs/decisions/0030-user-tokens.md): what costs nothing first, and
// a signature last, so that a token that is refused anyway costs no cryptography. The claims come before the key, because
// `aud` says whose key it is. What is said about a user (blocked,
// revoked) is told after the signature only: before, anyone could ask.
extension UserToken {
    /// Checks a token in all that it says itself, and against its key. Ask `check(_:)` for its user.
    ///
    /// - Parameters:
    ///   - audience: the public id of the application.
    ///   - maxLifetime: the most time from `iat` to `exp`; above `longestLifetime` it counts as that.
    ///   - key: finds one of the application's keys, a revoked one too.
    package static func verify(
        _ text: String, for audience: String, at now: Timestamp, maxLifetime: Duration,
        key: (UserTokenKey.ID) -> UserTokenKey?
    ) throws(UserTokenRefusal) -> UserToken {
        try Unproven(Parts(text), maxLifetime: maxLifetime).proven(for: audience, at: now, key: key).token
    }

    /// What a token says, of whose signature nothing is known: it tells whose keys to look up.
    struct Unproven: Sendable {
        private let parts: Parts
        private let algorithm: UserTokenKey.Algorithm
        let token: UserToken

        init(_ parts: Parts, maxLifetime: Duration) throws(UserTokenRefusal) {
            let header = try Header(parts.header)
            self.parts = parts
            self.algorithm = header.algorithm
            self.token = try UserToken(claims: parts.claims, keyID: header.keyID, maxLifetime: maxLifetime)
        }

        func proven(
            for audience: String, at now: Timestamp, key: (UserTokenKey.ID) -> UserTokenKey?
        ) throws(UserTokenRefusal) -> (token: UserToken, key: UserTokenKey) {
            // No default, and no trying of others.
            guard let key = key(token.keyID) else { throw .invalid(.key) }
            guard key.algorithm == algorithm else { throw .invalid(.algorithm) }
            try token.check(key, for: audience, at: now)
            guard let signature = Base64URL.decode(parts.signature) else { throw .invalid(.form) }
            guard signature.count == key.algorithm.signatureLength, key.isSignature(signature, of: Array(parts.signed))
            else { throw .invalid(.signature) }
            return (token, key)
        }
    }

    /// Checks what time and people may have changed since it was verified, but for its user.
    func check(_ key: UserTokenKey, for audience: String, at now: Timestamp) throws(UserTokenRefusal) {
        guard self.audience.utf8.elementsEqual(audience.utf8) else { throw .invalid(.audience) }
        guard key.verifies(at: now) else { throw .revoked }
        guard issuedAt <= now.adding(Self.issueLeeway), notBefore.map({ $0 <= now.adding(Self.leeway) }) != false else {
            throw .notYetValid
        }
        guard now < expiresAt.adding(Self.leeway) else { throw .expired }
    }

    /// Checks its user. A revocation ends every token that was ever taken before it, also those of a signer whose clock
    /// is ahead: their `iat` was at most `issueLeeway` ahead of ours.
    package func check(_ standing: UserStanding) throws(UserTokenRefusal) { try standing.check(issuedAt) }
}

extension UserStanding {
    /// - Parameter issuedAt: the token's `iat`.
    package func check(_ issuedAt: Timestamp) throws(UserTokenRefusal) {
        if let validAfter, issuedAt <= validAfter.adding(UserToken.issueLeeway) { throw .revoked }
        if isBlocked { throw .blocked }
    }
}

extension UserToken {
    /// A token's three parts, as they are written.
    struct Parts: Sendable {
        let bytes: [UInt8]
        let header: ArraySlice<UInt8>
        let claims: ArraySlice<UInt8>
        let signature: ArraySlice<UInt8>
        /// What the signature is of.
        let signed: ArraySlice<UInt8>

        init(_ text: String) throws(UserTokenRefusal) {
            guard text.utf8.count <= UserToken.maxLength else { throw .invalid(.length) }
            bytes = Array(text.utf8)
            let parts = bytes.split(separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
            guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else { throw .invalid(.form) }
            (header, claims, signature) = (parts[0], parts[1], parts[2])
            signed = bytes[..<claims.endIndex]
        }
    }

    private struct Header {
        let algorithm: UserTokenKey.Algorithm
        let keyID: UserTokenKey.ID

        init(_ part: ArraySlice<UInt8>) throws(UserTokenRefusal) {
            var (algorithm, keyID): (UserTokenKey.Algorithm?, UserTokenKey.ID?)
            try UserToken.read(part, or: .header) { name, reader in
                switch name {
                case "alg":
                    let word = try reader.word(or: .algorithm)
                    algorithm = UserTokenKey.Algorithm.allCases.first { word == $0.rawValue }
                case "kid":
                    keyID = UserTokenKey.ID(try reader.text(or: .key))
                case "typ":
                    switch try reader.word(or: .type) {
                    case "JWT", "luciq-user+jwt": break
                    default: throw UserTokenRefusal.invalid(.type)
                    }
                // A key from elsewhere, an extension that must be understood (RFC 7515, 4.1.11), an unencoded payload
                // (RFC 7797), compression, encryption.
                case "jku", "x5u", "x5c", "jwk", "crit", "b64", "zip", "enc":
                    throw UserTokenRefusal.invalid(.headerParameter)
                default: try reader.value()
                }
            }
            guard let algorithm else { throw .invalid(.algorithm) }
            guard let keyID else { throw .invalid(.key) }
            self.algorithm = algorithm
            self.keyID = keyID
        }
    }

    private init(
        claims part: ArraySlice<UInt8>, keyID: UserTokenKey.ID, maxLifetime: Duration
    ) throws(UserTokenRefusal) {
        var (audience, user): (String?, User.ID?)
        var (issuedAt, expiresAt, notBefore): (Timestamp?, Timestamp?, Timestamp?)
        var chats: [Chat.Number]?
        try Self.read(part, or: .claims) { name, reader in
            switch name {
            case "aud": audience = try reader.text(or: .audience)
            case "sub": user = User.ID(try reader.text(or: .subject))
            case "iat": issuedAt = try reader.time()
            case "exp": expiresAt = try reader.time()
            case "nbf": notBefore = try reader.time()
            case "jti": _ = try reader.text(or: .id)
            case "chats": chats = try reader.chatNumbers()
            default: try reader.value()
            }
        }
        guard let audience else { throw .invalid(.audience) }
        guard let user else { throw .invalid(.subject) }
        guard let issuedAt, let expiresAt else { throw .invalid(.times) }
        let longest = min(max(.zero, maxLifetime), Self.longestLifetime)
        guard issuedAt < expiresAt, expiresAt <= issuedAt.adding(longest) else { throw .invalid(.lifetime) }
        self.init(
            keyID: keyID, audience: audience, user: user, issuedAt: issuedAt, expiresAt: expiresAt,
            notBefore: notBefore, chats: chats)
    }

    /// Reads the JSON object of a part.
    private static func read(
        _ part: ArraySlice<UInt8>, or fault: UserTokenRefusal.Fault,
        _ member: (JSONName, inout JSONReader) throws -> Void
    ) throws(UserTokenRefusal) {
        guard let bytes = Base64URL.decode(part) else { throw .invalid(.form) }
        guard String(validating: bytes, as: UTF8.self) != nil else { throw .invalid(fault) }
        do {
            try bytes.withUnsafeBufferPointer { bytes in
                var reader = JSONReader(utf8: bytes)
                try reader.documentOfDistinctMembers(member)
            }
        } catch let refusal as UserTokenRefusal {
            throw refusal
        } catch {
            throw .invalid(fault)
        }
    }
}

extension JSONReader {
    fileprivate mutating func text(or fault: UserTokenRefusal.Fault) throws -> String {
        guard current == UInt8(ascii: "\"") else { throw UserTokenRefusal.invalid(fault) }
        return try string()
    }

    /// A string that is compared with words: by its bytes, since Swift's strings are equal if they look alike, and take
    /// long to compare when somebody wants that.
    fileprivate mutating func word(or fault: UserTokenRefusal.Fault) throws -> JSONName {
        guard current == UInt8(ascii: "\"") else { throw UserTokenRefusal.invalid(fault) }
        return try name()
    }

    /// A NumericDate (RFC 7519, 2), only as an integer, and only of the years that `Timestamp` can write: sums of two
    /// do not overflow.
    fileprivate mutating func time() throws -> Timestamp {
        guard let seconds = try integer(), seconds <= Timestamp.years0To9999.upperBound / 1_000_000 else {
            throw UserTokenRefusal.invalid(.times)
        }
        return Timestamp(microseconds: seconds * 1_000_000)
    }

    fileprivate mutating func chatNumbers() throws -> [Chat.Number] {
        guard current == UInt8(ascii: "[") else { throw UserTokenRefusal.invalid(.chats) }
        var numbers: Set<Chat.Number> = []
        try array { reader in
            guard let number = try reader.integer(), number > 0 else { throw UserTokenRefusal.invalid(.chats) }
            numbers.insert(Chat.Number(number))
        }
        return numbers.sorted()
    }

    /// An integer from 0 to 2^63−1, in digits alone; nil for another number, and for another value.
    private mutating func integer() throws -> Int64? {
        guard let first = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return nil }
        return Int64(digits: try number())
    }
}
