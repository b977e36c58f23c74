/// What its sender says in a message: all that comes with a create, and is stored and shown as it came.
///
/// A new member goes here. The rest of the code passes a content on whole, or reads and writes it in the places that
/// CONTRIBUTING.md lists.
package struct MessageContent: Hashable, Sendable {
    /// The text, byte for byte as sent.
    package let body: String

    package init(body: String) { self.body = body }

    /// The bytes that an idempotency key's fingerprint covers. They must stay the same for content without newer
    /// members, because servers of the previous version compare them too.
    package var fingerprinted: [UInt8] { Array(body.utf8) }

    /// Its bytes while it waits to be stored.
    package var size: Int { body.utf8.count }

    /// - Throws: `ChatError.invalid` with every sentence that applies.
    func check() throws(ChatError) { try Text.checkBody(body) }
}
