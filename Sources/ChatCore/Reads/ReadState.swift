/// How far a user has read a chat, and what it has not.
package struct ReadState: Sendable {
    /// 0 if it never said.
    package let number: Int64
    package let unread: Unread
    /// What was counted: every message up to this cursor. A client adds the creates above it, and above `number`.
    package let asOf: Cursor
}

/// A count of unread messages.
package struct Unread: Equatable, Sendable {
    /// The most that is counted.
    package static let most = 1000

    package let count: Int
    /// Those of them that mention the user.
    package let mentions: Int
    /// Whether there may be more: past the most, or further back than is looked at (`ChatTail.window`).
    package let hasMore: Bool

    package init(count: Int, mentions: Int = 0, hasMore: Bool) {
        self.count = count
        self.mentions = mentions
        self.hasMore = hasMore
    }

    package static let none = Unread(count: 0, hasMore: false)
}

/// Where a chat's log and its changes end, as the store has it.
package struct ChatHead: Equatable, Sendable {
    /// The highest number, void ones included; numbers below may be missing still. 0 for an empty chat.
    package let number: Int64
    package let revision: Int64

    package init(number: Int64, revision: Int64) {
        self.number = number
        self.revision = revision
    }

    package static let empty = ChatHead(number: 0, revision: 0)
}

/// A number of a chat's log, as a count sees it.
package struct TailRow: Sendable {
    package let number: Int64
    package let sender: User.ID?
    /// Whether it is in the main line, and neither void nor deleted.
    package let counts: Bool
    package let mentions: Mentions?

    package init(number: Int64, sender: User.ID?, counts: Bool, mentions: Mentions? = nil) {
        self.number = number
        self.sender = sender
        self.counts = counts
        self.mentions = mentions
    }
}

/// A chat of a user's inbox, before anything is counted.
package struct InboxEntry: Sendable {
    package let chat: Chat.ID
    package let number: Chat.Number
    package let role: Member.Role
    /// The messages that are there for the user.
    package let numbers: NumberSpan
    package let joinedAt: Timestamp
    /// When its newest message was stored or the user joined, whichever is later.
    package let activeAt: Timestamp

    /// - Parameter lastAt: the time of its newest message.
    package init(
        chat: Chat.ID, number: Chat.Number, member: Member, access: Chat.Access, lastAt: Timestamp?
    ) {
        self.chat = chat
        self.number = number
        self.role = member.role
        self.numbers = access == .open ? .all : member.numbers
        self.joinedAt = member.joinedAt
        self.activeAt = max(lastAt ?? member.joinedAt, member.joinedAt)
    }
}
