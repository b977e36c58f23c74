/// What its sender says in a message: all that comes with a create, and is stored and shown as it came.
///
/// A new member goes here. The rest of the code passes a content on whole, or reads and writes it in the places that
/// CONTRIBUTING.md lists.
package struct MessageContent: Hashable, Sendable {
    /// The text, byte for byte as sent.
    package let body: String
    /// Who says it. Nil: a key or the path's token, which have named nobody.
    package let sender: User.ID?

    package init(body: String, sender: User.ID? = nil) {
        self.body = body
        self.sender = sender
    }

    /// The bytes that an idempotency key's fingerprint covers. They must stay the same for content without newer
    /// members, because servers of the previous version compare them too. No body has a null character, so the bytes of
    /// two contents differ.
    package var fingerprinted: [UInt8] { Array(body.utf8) + (sender.map { [0] + Array($0.text.utf8) } ?? []) }

    /// Its bytes while it waits to be stored.
    package var size: Int { body.utf8.count + (sender?.text.utf8.count ?? 0) }

    /// - Throws: `ChatError.invalid` with every sentence that applies.
    func check() throws(ChatError) { try Text.checkBody(body) }
}
