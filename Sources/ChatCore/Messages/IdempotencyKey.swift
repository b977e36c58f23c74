import Cryptography

/// A client's key for a request and its retries (draft-ietf-httpapi-idempotency-key-header-07), with a fingerprint of
/// the content.
package struct IdempotencyKey: Hashable, Sendable {
    /// How long a retry is recognised.
    package static let lifetime = Duration.seconds(7 * 24 * 3600)

    /// 1 to 255 printable ASCII characters.
    package let text: String
    /// SHA-256 of the request's content: the same key with another content is a mistake.
    package let fingerprint: [UInt8]

    /// - Throws: `ChatError.invalid` when `text` is not 1 to 255 printable ASCII characters.
    package init(_ text: String, content: some Sequence<UInt8>) throws(ChatError) {
        guard (1...255).contains(text.utf8.count), text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            throw .invalid(["Idempotency-Key must be 1 to 255 printable ASCII characters"])
        }
        self.text = text
        self.fingerprint = SHA256.hash(Array(content))
    }
}
