/// What a thread has, as of a read. Its numbers only rise.
package struct ThreadSummary: Equatable, Sendable {
    /// The message that begins it.
    package let root: Message.Number
    /// All replies that were given, deleted ones too.
    package let replyCount: Int64
    package let lastReply: Message.Number

    package init(root: Message.Number, replyCount: Int64, lastReply: Message.Number) {
        self.root = root
        self.replyCount = replyCount
        self.lastReply = lastReply
    }
}

extension Message {
    /// Whether it is a reply that does not tell its thread.
    var lacksRoot: Bool { content.thread != nil && root == nil }

    /// A reply that lacks its root gets the one that was found.
    package func telling(_ threads: [Number: ThreadSummary]) -> Message {
        guard lacksRoot, let thread = content.thread, let found = threads[thread] else { return self }
        var message = self
        message.root = found
        return message
    }

    var withoutRoot: Message {
        guard root != nil else { return self }
        var message = self
        message.root = nil
        return message
    }
}
