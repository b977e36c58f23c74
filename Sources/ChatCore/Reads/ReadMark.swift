/// How far a user says that it has read a chat.
package struct ReadMark: Sendable {
    package let chat: ChatPlace
    package let user: User.ID
    /// Not above the chat's highest number.
    package let number: Int64
    /// Nil: the stored number only rises. Else it becomes `number`, if it is still this one.
    package let lowersFrom: Int64?
    /// From where it comes; nil: from the server itself.
    package let client: IPAddress?

    package init(
        chat: ChatPlace, user: User.ID, number: Int64, lowersFrom: Int64? = nil, client: IPAddress? = nil
    ) {
        self.chat = chat
        self.user = user
        self.number = number
        self.lowersFrom = lowersFrom
        self.client = client
    }

    /// The number after it. Called within the transaction that stores it, with the row locked.
    ///
    /// - Throws: `ChatError.readElsewhere` if another device has moved it meanwhile. One that is there already is no
    ///   failure: a retry of a request whose answer was lost finds it so.
    package func decide(on stored: Int64) throws(ChatError) -> Int64 {
        guard let lowersFrom else { return max(stored, number) }
        guard stored == lowersFrom || stored == number else { throw .readElsewhere(stored) }
        return number
    }
}

extension ReadMark: CommitEntry {
    package var lane: Int64? { chat.id.rawValue }
    package var share: Int64? { chat.tenant.rawValue }
    package var bytes: Int { 64 + user.text.utf8.count }
    package var claim: CommitClaim? { nil }
}

/// What a mark has stored.
package struct MarkedRead: Equatable, Sendable {
    package let number: Int64
    /// Whether the chat shows its members how far others have read.
    package let isShown: Bool

    package init(number: Int64, isShown: Bool) {
        self.number = number
        self.isShown = isShown
    }
}
