/// What its sender says in a message: all that comes with a create, and is stored and shown as it came.
///
/// A new member goes here. The rest of the code passes a content on whole, or reads and writes it in the places that
/// CONTRIBUTING.md lists.
package struct MessageContent: Hashable, Sendable {
    /// The text, byte for byte as it was sent.
    package let body: String

    package init(body: String) { self.body = body }

    /// What an idempotency key is for. It never changes for what could be sent before a member was added: servers of the
    /// version before compare it too.
    package var fingerprinted: [UInt8] { Array(body.utf8) }

    /// Bytes that it holds while it waits to be stored.
    package var size: Int { body.utf8.count }

    /// - Throws: `ChatError.invalid` with every sentence that applies.
    func check() throws(ChatError) { try Text.checkBody(body) }
}
