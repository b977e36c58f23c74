import COpenSSL

/// The bytes of a key. They are not printed, and are compared in constant time.
package struct SecretKey: Equatable, Sendable, CustomStringConvertible, CustomReflectable {
    let bytes: [UInt8]

    package var count: Int { bytes.count }
    /// For the one answer that shows it, and for the store that keeps it.
    package var exposedBytes: [UInt8] { bytes }

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// 256 bits from the system's generator.
    package static func random() -> SecretKey { SecretKey((0..<32).map { _ in .random(in: 0...255) }) }

    package static func == (left: SecretKey, right: SecretKey) -> Bool {
        areEqualInConstantTime(left.bytes, right.bytes)
    }

    package var description: String { "a key of \(bytes.count) bytes" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Compares in a time that depends on the lengths only.
package func areEqualInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
}
