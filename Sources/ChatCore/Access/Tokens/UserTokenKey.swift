package import Cryptography

/// A key that signs the user tokens of an application. It has one algorithm, whatever a token says.
package struct UserTokenKey: Equatable, Sendable {
    /// What a token names its key by (`kid`): 1 to 40 ASCII letters, digits, `-` and `_`. Not secret.
    package struct ID: Hashable, Sendable, CustomStringConvertible {
        package let text: String

        /// - Returns: nil if the text breaks the rule.
        package init?(_ text: String) {
            guard (1...40).contains(text.utf8.count), text.utf8.allSatisfy(\.isBase64URL) else { return nil }
            self.text = text
        }

        /// 95 random bits in 16 characters of base62: a hyphen in front would look like an option to a command,
        /// and `demo-` is of demo keys alone.
        package static func random() -> ID { ID(Base62.random(count: 16).text)! }

        package var description: String { text }
    }

    /// The values of `alg` (RFC 7518, 3.2; RFC 8037, 3.1). Compared by their letters: there is no other spelling.
    package enum Algorithm: String, CaseIterable, Sendable {
        case hs256 = "HS256"
        case eddsa = "EdDSA"

        /// Bytes.
        var signatureLength: Int { self == .hs256 ? 32 : Ed25519PublicKey.signatureLength }
    }

    package enum Material: Equatable, Sendable {
        /// For HS256: at least 32 bytes.
        case secret(SecretKey)
        /// For EdDSA.
        case publicKey(Ed25519PublicKey)
    }

    package enum State: Equatable, Sendable {
        case active
        /// Still verifies, until that moment by the server's clock. If the clock is set back, it verifies again until
        /// then: to end a key for good, revoke it.
        case retiring(until: Timestamp)
        case revoked
    }

    package let id: ID
    package let material: Material
    package var state: State

    /// - Returns: nil for a secret of less than 32 bytes: RFC 7518, 3.2, wants no shorter one for HS256, and whoever has a
    ///   token can try short ones without asking anybody.
    package init?(id: ID, _ material: Material, state: State = .active) {
        if case .secret(let secret) = material, secret.count < 32 { return nil }
        self.id = id
        self.material = material
        self.state = state
    }

    package var algorithm: Algorithm {
        switch material {
        case .secret: .hs256
        case .publicKey: .eddsa
        }
    }

    func verifies(at now: Timestamp) -> Bool {
        switch state {
        case .active: true
        case .retiring(let until): now < until
        case .revoked: false
        }
    }

    func isSignature(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        switch material {
        case .secret(let key): SHA256.isHMAC(signature, of: message, key: key)
        case .publicKey(let key): key.isSignature(signature, of: message)
        }
    }
}

extension UInt8 {
    fileprivate var isBase64URL: Bool {
        switch self {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
