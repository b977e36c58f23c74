package import Cryptography

extension Ed25519PublicKey {
    /// Longer texts are refused unread: a key has about 110 bytes.
    private static let longestUpload = 4096

    /// Reads a key as people upload it.
    ///
    /// - Parameter text: PEM (SubjectPublicKeyInfo, RFC 7468 and 8410), or a JWK, which begins with `{` (RFC 8037, 2).
    /// - Throws: `ChatError.invalid`.
    package init(uploaded text: String) throws(ChatError) {
        guard text.utf8.count <= Self.longestUpload else { throw .notAKey }
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingBlanks }.filter { !$0.isEmpty }
        guard let first = lines.first else { throw .notAKey }
        let bytes = if first.utf8.first == UInt8(ascii: "{") { try Self.jwk(text) } else { try Self.pem(lines) }
        guard let key = Ed25519PublicKey(bytes) else {
            throw .invalid(["Public key is not a valid Ed25519 key: its 32 bytes are no point to verify with"])
        }
        self = key
    }

    /// The key's bytes. PEM is read here and not by OpenSSL, which takes more than keys, and asks for a password at the
    /// terminal where the text calls for one.
    private static func pem(_ lines: [Substring]) throws(ChatError) -> [UInt8] {
        // Whatever kind it is of: "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY".
        if lines[0].utf8.count < 64, lines[0].contains("PRIVATE KEY") { throw .privateKey }
        guard lines.count > 2, lines.first == "-----BEGIN PUBLIC KEY-----",
            lines.last == "-----END PUBLIC KEY-----"
        else { throw .notAKey }
        // The 44 bytes of every Ed25519 key take 60 characters, the last of which is padding.
        let text = lines.dropFirst().dropLast().joined()
        guard text.utf8.count == 60, text.utf8.last == UInt8(ascii: "="),
            !text.utf8.contains(where: { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") })
        else { throw .notAKey }
        let characters = text.utf8.dropLast().map { character in
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

    private static func jwk(_ text: String) throws(ChatError) -> [UInt8] {
        var (isOctetPair, isEd25519, isPrivate, fitsUse) = (false, false, false, true)
        var x: String?
        var text = text
        do {
            try text.withUTF8 { utf8 in
                var reader = JSONReader(utf8: utf8)
                try reader.documentOfDistinctMembers { name, reader in
                    switch name {
                    case "kty": isOctetPair = try reader.string() == "OKP"
                    case "crv": isEd25519 = try reader.string() == "Ed25519"
                    case "x": x = try reader.string()
                    case "use": if try reader.string() != "sig" { fitsUse = false }
                    case "alg": if try reader.string() != "EdDSA" { fitsUse = false }
                    case "d":
                        try reader.value()
                        isPrivate = true
                    default: try reader.value()
                    }
                }
            }
        } catch {
            throw .notAKey  // It is no JSON, or has a member twice or of another type.
        }
        if isPrivate { throw .privateKey }
        guard isOctetPair, isEd25519, fitsUse, let x, let bytes = Base64URL.decode(Array(x.utf8)[...]) else {
            throw .notAKey
        }
        return bytes
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
