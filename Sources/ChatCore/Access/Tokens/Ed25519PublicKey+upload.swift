package import Cryptography

// All words of an upload are compared by their bytes: Swift's strings are equal if they look alike, such as K and the
// Kelvin sign.
extension Ed25519PublicKey {
    /// Longer texts are refused unread: a key has about 110 bytes.
    private static let longestUpload = 4096

    /// Reads a key as people upload it.
    ///
    /// - Parameter text: PEM (SubjectPublicKeyInfo, RFC 7468 and 8410), or a JWK, which begins with `{` (RFC 8037, 2).
    /// - Throws: `ChatError.invalid`.
    package init(uploaded text: String) throws(ChatError) {
        guard text.utf8.count <= Self.longestUpload else { throw .notAKey }
        let text = Array(text.utf8.drop { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D })
        guard !Self.hasPrivateKey(text) else { throw .privateKey }
        let bytes = if text.first == UInt8(ascii: "{") { try Self.jwk(text) } else { try Self.pem(text) }
        guard let key = Ed25519PublicKey(bytes) else {
            throw .invalid(["Public key is not a valid Ed25519 key: its 32 bytes are no point to verify with"])
        }
        self = key
    }

    /// The key's bytes. PEM is read here and not by OpenSSL, which takes more than keys, and asks for a password at the
    /// terminal where the text calls for one.
    private static func pem(_ text: [UInt8]) throws(ChatError) -> [UInt8] {
        let lines = text.split { $0 == 0x0A || $0 == 0x0D }
            .map { Substring(decoding: $0, as: UTF8.self).trimmingBlanks.utf8 }.filter { !$0.isEmpty }
        guard lines.count > 2, lines[0].elementsEqual("-----BEGIN PUBLIC KEY-----".utf8),
            lines[lines.count - 1].elementsEqual("-----END PUBLIC KEY-----".utf8)
        else { throw .notAKey }
        // The 44 bytes of every Ed25519 key take 60 characters, the last of which is padding.
        let body = Array(lines[1..<lines.count - 1].joined())
        guard body.count == 60, body.last == UInt8(ascii: "="),
            !body.contains(where: { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") })
        else { throw .notAKey }
        let characters = body.dropLast().map { character in
            switch character {
            case UInt8(ascii: "+"): UInt8(ascii: "-")
            case UInt8(ascii: "/"): UInt8(ascii: "_")
            default: character
            }
        }
        guard let der = Base64URL.decode(characters[...]), der.starts(with: derPrefix) else { throw .notAKey }
        return Array(der.dropFirst(derPrefix.count))
    }

    /// A SubjectPublicKeyInfo up to the key: the algorithm 1.3.101.112 without parameters, and a bit string.
    private static let derPrefix: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]

    private static func jwk(_ text: [UInt8]) throws(ChatError) -> [UInt8] {
        var (isOctetPair, isEd25519, fitsUse) = (false, false, true)
        var x: [UInt8]?
        do {
            try text.withUnsafeBufferPointer { text in
                var reader = JSONReader(utf8: text)
                try reader.documentOfDistinctMembers { name, reader in
                    switch name {
                    case "kty": isOctetPair = try "OKP" ~= reader.name()
                    case "crv": isEd25519 = try "Ed25519" ~= reader.name()
                    case "x": x = try Array(reader.string().utf8)
                    case "use": fitsUse = try "sig" ~= reader.name() && fitsUse
                    case "alg": fitsUse = try "EdDSA" ~= reader.name() && fitsUse
                    default: try reader.value()
                    }
                }
            }
        } catch {
            throw .notAKey  // It is no JSON, or has a member twice or of another type.
        }
        guard isOctetPair, isEd25519, fitsUse, let x, let bytes = Base64URL.decode(x[...]) else { throw .notAKey }
        return bytes
    }
}

// Whoever sends a private key should hear that it is known now, even if the rest is no key at all.
extension Ed25519PublicKey {
    /// What only private keys have: PEM of any kind, PuTTY's files, and PKCS #8 of an Ed25519 key in base64 (the algorithm
    /// and the octet string around the key, RFC 8410, 7).
    private static let privateMarks = ["PRIVATE KEY", "Private-Lines:", "BQYDK2VwBCIE"]

    private static func hasPrivateKey(_ text: [UInt8]) -> Bool {
        privateMarks.contains { text.firstRange(of: Array($0.utf8)) != nil } || hasPrivateMember(text)
    }

    /// Whether a JWK, or one anywhere in the JSON, has its private part, `d`. What comes after a mistake is not read.
    private static func hasPrivateMember(_ text: [UInt8]) -> Bool {
        var isPrivate = false
        func search(_ reader: inout JSONReader) throws {
            switch reader.current {
            case UInt8(ascii: "{"):
                try reader.object { name, reader in
                    if case "d" = name { isPrivate = true }
                    try search(&reader)
                }
            case UInt8(ascii: "["): try reader.array(search)
            default: try reader.value()
            }
        }
        text.withUnsafeBufferPointer { text in
            var reader = JSONReader(utf8: text)
            try? search(&reader)  // What is no JSON is refused later.
        }
        return isPrivate
    }
}

extension ChatError {
    fileprivate static let notAKey = invalid([
        "Public key must be an Ed25519 key: PEM that begins with -----BEGIN PUBLIC KEY-----, or a JWK with "
            + "\"kty\":\"OKP\", \"crv\":\"Ed25519\" and \"x\""
    ])
    fileprivate static let privateKey = invalid([
        "Public key is a private key: make a new pair, as this one has been sent, and upload the public key only"
    ])
}
