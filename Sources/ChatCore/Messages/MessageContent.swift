/// What its sender says in a message: all that comes with a create, and is stored and shown as it came.
///
/// A new member goes here. The rest of the code passes a content on whole, or reads and writes it in the places that
/// CONTRIBUTING.md lists.
package struct MessageContent: Hashable, Sendable {
    /// The text, byte for byte as sent.
    package var body: String
    /// Who says it. Nil: a key or the path's token, which have named nobody.
    package let sender: User.ID?
    /// A JSON object without white space (`Metadata`).
    package var metadata: String?
    /// Nil: it never had any.
    package var mentions: Mentions?
    /// The message that begins the thread that this one is in.
    package let thread: Message.Number?
    /// The message that this one answers.
    package let replyTo: Message.Number?
    /// Whether a reply stands in the main line too. False for what is in no thread.
    package let isInMain: Bool

    package init(
        body: String, sender: User.ID? = nil, metadata: String? = nil, thread: Message.Number? = nil,
        replyTo: Message.Number? = nil, isInMain: Bool = false, mentions: Mentions? = nil
    ) {
        self.body = body
        self.sender = sender
        self.metadata = metadata
        self.mentions = mentions
        self.thread = thread
        self.replyTo = replyTo
        self.isInMain = isInMain && thread != nil
    }

    /// The bytes that an idempotency key's fingerprint covers. They must stay the same for content without newer
    /// members, because servers of the previous version compare them too. None of the texts has a null character, so the
    /// bytes of two contents differ.
    package var fingerprinted: [UInt8] {
        var bytes = Array(body.utf8)
        let hasMore = metadata != nil || thread != nil || replyTo != nil
        if sender != nil || hasMore { bytes += [0] + Array((sender?.text ?? "").utf8) }
        if hasMore {
            let numbers = [thread, replyTo].map { $0.map { String($0.rawValue) } ?? "" }
            for text in [metadata ?? ""] + numbers { bytes += [0] + Array(text.utf8) }
        }
        if isInMain { bytes += [0, 1] }
        if let mentions { bytes += [0, 2] + Array(mentions.json.utf8) }
        return bytes
    }

    /// Its bytes while it waits to be stored.
    package var size: Int {
        body.utf8.count + (sender?.text.utf8.count ?? 0) + (metadata?.utf8.count ?? 0) + (mentions?.size ?? 0)
    }

    /// - Throws: `ChatError.invalid` with every sentence that applies.
    func check() throws(ChatError) { try Text.checkBody(body) }

    /// Whether it names other messages (`ChatScope.checkReferences`).
    package var refersToMessages: Bool { thread != nil || replyTo != nil }

    /// What is left when the message is deleted.
    var cleared: MessageContent {
        MessageContent(
            body: "", sender: sender, thread: thread, replyTo: replyTo, isInMain: isInMain,
            mentions: mentions == nil ? nil : Mentions.nobody)
    }

    /// Whether both are the same, byte for byte. Swift's strings are equal too if they are only canonically equivalent.
    func isIdentical(to other: MessageContent) -> Bool {
        guard mentions ?? .nobody == other.mentions ?? .nobody else { return false }
        return body.utf8.elementsEqual(other.body.utf8) && sender == other.sender && thread == other.thread
            && replyTo == other.replyTo && isInMain == other.isInMain && (metadata == nil) == (other.metadata == nil)
            && (metadata ?? "").utf8.elementsEqual((other.metadata ?? "").utf8)
    }
}
