/// A thing of a chat that has changed: one row of `chat_changes`, moved up by each change.
package struct ChangedItem: Equatable, Sendable {
    /// The raw values are stored.
    package enum Kind: Int64, CaseIterable, Sendable {
        case message = 1
        case member
        case chat
        case pin
    }

    /// Nil for a kind that a newer version has stored.
    package let kind: Kind?
    /// The number of a message; 0 for what has none.
    package let number: Int64
    /// The id of a member; nil for what is none.
    package let user: User.ID?
    /// Of its last change.
    package let revision: Int64

    package init(kind: Kind?, number: Int64, user: User.ID?, revision: Int64) {
        self.kind = kind
        self.number = number
        self.user = user
        self.revision = revision
    }
}
