/// How far a search across a tenant came among the rows that are in no block, when its time was up. Nothing is known of the
/// newest hits then, but the next request need not begin anew.
package struct TenantSearchProgress: Equatable, Sendable {
    /// The chats with lower numbers were searched, and of this one the messages up to `number`; nil: all chats were.
    package let chat: Chat.Number?
    package let number: Int64
    /// The newest hits so far, newest first, at most `most`. Their rows are read again.
    package let hits: [SearchPlace]
    /// Whether older ones were left out: the page that the search ends with goes no further than these.
    package let isFull: Bool

    /// So many fit into a link.
    package static let most = 50

    package init(chat: Chat.Number?, number: Int64 = 0, hits: [SearchPlace], isFull: Bool) {
        self.chat = chat
        self.number = number
        self.hits = hits
        self.isFull = isFull
    }

    /// Whether it is behind another one.
    func precedes(_ other: TenantSearchProgress) -> Bool {
        guard let chat else { return false }
        guard let further = other.chat else { return true }
        return (chat.rawValue, number) < (further.rawValue, other.number)
    }

    /// The numbers of a chat, of those from 1 on, that are left to search.
    package func left(of chat: Chat.Number) -> PartialRangeFrom<Int64>? {
        guard let reached = self.chat, reached.rawValue <= chat.rawValue else { return nil }
        guard reached == chat else { return 1... }
        return number < .max ? (number + 1)... : nil
    }
}
