/// What a search looks for.
package struct SearchQuery: Sendable {
    package let text: SearchText
    /// Only messages created later, and earlier; both exclusive.
    package let after: Timestamp?
    package let before: Timestamp?
    /// Only messages of this sender. Blocks do not know it: only rows tell.
    package let sender: User.ID?
    /// Across a tenant: only in these chats; nil for all.
    package var chats: Set<Chat.ID>?
    /// Across a tenant: only what is there for this user, as the store knows it; nil for all.
    package var viewer: User.ID?

    package init(
        _ text: SearchText, after: Timestamp? = nil, before: Timestamp? = nil, sender: User.ID? = nil
    ) {
        self.text = text
        self.after = after
        self.before = before
        self.sender = sender
    }

    /// What to search blocks for; nil if only rows can tell, because the text folds to nothing, or to so much more than
    /// was sent that looking through a block could take long.
    package var needle: SearchNeedle? {
        guard let needle = text.needle, needle.bytes.count <= Self.longestNeedle else { return nil }
        return needle
    }

    /// Of the longest text, 255 characters of 4 bytes, if none folds to several.
    private static let longestNeedle = 1020

    /// Whether it takes a message, if its text matches.
    package func takes(_ message: Message) -> Bool {
        takes(message.createdAt) && (sender == nil || sender == message.content.sender)
    }

    package func takes(_ time: Timestamp) -> Bool {
        after.map { time > $0 } ?? true && before.map { time < $0 } ?? true
    }

    /// Whether it may take a message of a block with these times.
    package func mayTake(from oldest: Timestamp, to newest: Timestamp) -> Bool {
        after.map { newest > $0 } ?? true && before.map { oldest < $0 } ?? true
    }
}
