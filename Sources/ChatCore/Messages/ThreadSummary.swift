/// What a thread has, as of a read.
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
