/// What `luciq verify` finds of a chat's changes.
package struct ChatChangesFound: Sendable {
    let chat: Int64
    /// As the head has it; so is `deletedCount`.
    let revision: Int64
    let deletedCount: Int64
    /// Rows of deleted messages, and those of them that have a content.
    let tombstones: Int64
    let fullTombstones: Int64
    /// Messages whose revision is above that of their change, or that have no change.
    let unlisted: Int64
    /// Messages that say they have reactions, and have no row of any.
    let unbacked: Int64
    /// The highest revision of a change.
    let highest: Int64

    package init(
        chat: Int64, revision: Int64, deletedCount: Int64, tombstones: Int64, fullTombstones: Int64, unlisted: Int64,
        unbacked: Int64, highest: Int64
    ) {
        self.chat = chat
        self.revision = revision
        self.deletedCount = deletedCount
        self.tombstones = tombstones
        self.fullTombstones = fullTombstones
        self.unlisted = unlisted
        self.unbacked = unbacked
        self.highest = highest
    }
}

extension StoreReport {
    package mutating func addProblems(of found: ChatChangesFound) {
        let name = "Chat id \(found.chat)"
        if found.highest != found.revision {
            add("\(name): its head's revision is \(found.revision), but the highest change has \(found.highest)")
        }
        if found.deletedCount != found.tombstones {
            add("\(name): deleted_count is \(found.deletedCount), but the rows say \(found.tombstones)")
        }
        if found.fullTombstones > 0 { add("\(name): \(found.fullTombstones) deleted messages still have a content") }
        if found.unlisted > 0 { add("\(name): \(found.unlisted) messages have changed without a change that says so") }
        if found.unbacked > 0 { add("\(name): \(found.unbacked) messages have reactions of nobody") }
    }
}

/// What `luciq verify` finds of a message's reactions.
package struct ReactionsFound: Sendable {
    let chat: Int64
    let number: Int64
    /// As the message says; nil: it has none, or is not there.
    let summary: String?
    let rows: Int64

    package init(chat: Int64, number: Int64, summary: String?, rows: Int64) {
        self.chat = chat
        self.number = number
        self.summary = summary
        self.rows = rows
    }
}

extension StoreReport {
    package mutating func addProblems(of found: ReactionsFound) {
        let told = ReactionSummary(json: found.summary).entries.reduce(0) { $0 + $1.count }
        guard told != found.rows else { return }
        add("Message \(found.number) of chat id \(found.chat) says \(told) reactions, but has rows of \(found.rows)")
    }
}
