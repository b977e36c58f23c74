/// One message of a chat, as it is now.
package struct Message: Equatable, Sendable {
    /// 1, 2, 3 … within its chat, in the order of the log.
    package struct Number: Hashable, Sendable, SequenceNumber {
        package let rawValue: Int64

        package init(_ rawValue: Int64) { self.rawValue = rawValue }
    }

    /// When and by whom it was deleted.
    package struct Deletion: Equatable, Sendable {
        package let at: Timestamp
        /// Nil: by a key or the path's token.
        package let by: User.ID?

        package init(at: Timestamp, by: User.ID?) {
            self.at = at
            self.by = by
        }
    }

    package let number: Number
    package var content: MessageContent
    package let createdAt: Timestamp
    /// Of its content, in its chat's count of changes; 0 if it never changed.
    package var revision: Int64 = 0
    package var editedAt: Timestamp?
    /// A deleted message keeps its number, its sender and its place in a thread. Its body is empty.
    package var deletion: Deletion?
    /// `ReactionSummary.json`.
    package var reactions: String?
    /// Of its reactions, as `revision`.
    package var reactionsRevision: Int64 = 0
    /// Of a reply: what its thread had when this was stored or read. Nil: not told.
    package var root: ThreadSummary?
    /// Whether the body is only its beginning.
    package var isPreview = false

    package var body: String { content.body }

    package init(number: Number, content: MessageContent, createdAt: Timestamp) {
        self.number = number
        self.content = content
        self.createdAt = createdAt
    }

    /// One that was stored just now.
    package init(_ stored: AppendedMessage, _ content: MessageContent) {
        self.init(number: stored.number, content: content, createdAt: stored.createdAt)
        root = stored.root
    }

    package init(number: Number, body: String, createdAt: Timestamp) {
        self.init(number: number, content: MessageContent(body: body), createdAt: createdAt)
    }

    /// Bytes of its texts as JSON, for the bounds of pages. Scans the whole body.
    package var textsInJSON: Int {
        body.lengthInJSON + (content.metadata?.utf8.count ?? 0) + (content.mentions?.size ?? 0)
            + (reactions?.utf8.count ?? 0)
    }

    /// Of its last change.
    package var lastRevision: Int64 { max(revision, reactionsRevision) }
}
