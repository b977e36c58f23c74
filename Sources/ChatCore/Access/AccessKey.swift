import Cryptography

/// A key as its owner shows it: `lq_<kind>_<id>_<secret><checksum>`, 69 characters.
///
/// The kind says what it opens; the id (12 characters) finds it; the secret (32 random bytes as 43 characters) proves it.
/// The checksum (CRC-32 of all that comes before, 6 characters) tells a mistyped key from a wrong one without a look-up,
/// and lets scanners recognise leaked keys. Numbers are in base62.
///
/// Describing a key shows its kind and id; `text` is the whole.
package struct AccessKey: Sendable {
    package enum Kind: String, Sendable {
        /// A value of the server's setting `LUCIQ_ADMIN_KEY`.
        case admin = "adm"
        /// Opens one application, within its scopes.
        case application = "app"
        /// Signs webhooks; opens nothing.
        case webhook = "whk"

        fileprivate init?(_ text: Slice<UnsafeRawBufferPointer>) {
            for kind in [Kind.application, .admin, .webhook] where text.elementsEqual(kind.rawValue.utf8) {
                self = kind
                return
            }
            return nil
        }
    }

    /// Finds a key, and is no secret: 12 characters of base62.
    package struct ID: Hashable, Sendable, CustomStringConvertible {
        fileprivate let characters: Base62

        fileprivate init(_ characters: Base62) { self.characters = characters }

        /// - Returns: nil unless it is 12 characters of base62.
        package init?(_ text: Substring) {
            guard let characters = Base62(text, count: 12) else { return nil }
            self.init(characters)
        }

        package init?(_ text: String) { self.init(text[...]) }

        package static func random() -> ID { ID(.random(count: 12)) }

        package var text: String { characters.text }
        package var description: String { text }
    }

    /// The SHA-256 of a key's secret: what is stored of it.
    package struct Digest: Equatable, Sendable {
        package let bytes: [UInt8]

        /// - Returns: nil unless there are 32 bytes.
        package init?(_ bytes: [UInt8]) {
            guard bytes.count == 32 else { return nil }
            self.bytes = bytes
        }

        fileprivate init(of secret: UnsafeRawBufferPointer) { bytes = SHA256.hash(secret) }

        package static func == (left: Digest, right: Digest) -> Bool {
            areEqualInConstantTime(left.bytes, right.bytes)
        }
    }

    /// The number of characters of every key.
    package static let length = 69
    private static let secretStart = 20
    private static let checksumStart = 63

    package let kind: Kind
    package let id: ID
    private let characters: [UInt8]

    /// - Parameter text: of any length.
    /// - Returns: nil unless it has the form of a key and its checksum is right.
    package init?(_ text: UnsafeRawBufferPointer) {
        let underscore = UInt8(ascii: "_")
        guard text.count == Self.length, text[..<3].elementsEqual("lq_".utf8), let kind = Kind(text[3..<6]),
            text[6] == underscore, text[19] == underscore,
            let id = Base62(UnsafeRawBufferPointer(rebasing: text[7..<19]), count: 12)
        else { return nil }
        var checksum: UInt64 = 0
        for index in Self.secretStart..<Self.length {
            guard let digit = Base62.value(of: text[index]) else { return nil }
            if index >= Self.checksumStart { checksum = checksum * 62 + UInt64(digit) }
        }
        let body = UnsafeRawBufferPointer(rebasing: text[..<Self.checksumStart])
        guard checksum == UInt64(CRC32.checksum(of: body)) else { return nil }
        self.kind = kind
        self.id = ID(id)
        self.characters = Array(text)
    }

    /// - Returns: likewise.
    package init?(_ text: some StringProtocol) {
        let key = Array(text.utf8).withUnsafeBytes { AccessKey($0) }
        guard let key else { return nil }
        self = key
    }

    /// A new key, from the operating system's cryptographic generator.
    package static func random(_ kind: Kind) -> AccessKey {
        let secret = SystemRandomNumberGenerator.bytes(32)
        var characters = Array("lq_\(kind.rawValue)_\(ID.random())_".utf8)
        characters += Base62.digits(of: secret, count: 43)
        let checksum = characters.withUnsafeBytes { CRC32.checksum(of: $0) }
        characters += Base62.digits(of: checksum, count: 6)
        return characters.withUnsafeBytes { AccessKey($0) }!
    }

    /// All of it, for the one answer that shows it. Never for a log.
    package var text: String { String(decoding: characters, as: UTF8.self) }

    package var digest: Digest {
        characters.withUnsafeBytes { characters in
            Digest(of: UnsafeRawBufferPointer(rebasing: characters[Self.secretStart..<Self.checksumStart]))
        }
    }
}

extension AccessKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "lq_\(kind.rawValue)_\(id)_…" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension SystemRandomNumberGenerator {
    fileprivate static func bytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in .random(in: 0...255, using: &generator) }
    }
}

/// CRC-32 as in gzip (RFC 1952, 8).
enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }

    static func checksum(of bytes: UnsafeRawBufferPointer) -> UInt32 {
        ~bytes.reduce(~0 as UInt32) { value, byte in table[Int((value ^ UInt32(byte)) & 0xFF)] ^ value >> 8 }
    }
}
