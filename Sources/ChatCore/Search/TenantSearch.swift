/// A place in the hits of a search across a tenant, newest first.
package struct SearchPlace: Comparable, Hashable, Sendable {
    package let createdAt: Timestamp
    package let chat: Chat.ID
    package let number: Message.Number

    package init(createdAt: Timestamp, chat: Chat.ID, number: Message.Number) {
        self.createdAt = createdAt
        self.chat = chat
        self.number = number
    }

    package static func < (left: SearchPlace, right: SearchPlace) -> Bool {
        (left.createdAt.microseconds, left.chat.rawValue, left.number.rawValue)
            < (right.createdAt.microseconds, right.chat.rawValue, right.number.rawValue)
    }
}

/// A slice of the hits of a search across a tenant.
package struct TenantSearchPage: Equatable, Sendable {
    package var limit: Int
    /// Only hits before this place: older ones.
    package var before: SearchPlace?
    /// The most bytes of the messages' bodies, as JSON; at least one hit comes.
    package var bytes: Int

    package init(limit: Int = Page.defaultLimit, before: SearchPlace? = nil, bytes: Int = Page.defaultBytes) {
        self.limit = limit
        self.before = before
        self.bytes = bytes
    }
}

/// A message that a search across a tenant has found.
package struct TenantHit: Equatable, Sendable {
    package let place: SearchPlace
    package let chatNumber: Chat.Number
    package let message: Message

    package init(chat: Chat.ID, number: Chat.Number, message: Message) {
        self.place = SearchPlace(createdAt: message.createdAt, chat: chat, number: message.number)
        self.chatNumber = number
        self.message = message
    }
}

/// One page of hits across a tenant, newest first.
package struct TenantHits: Equatable, Sendable {
    package let hits: [TenantHit]
    package let hasMore: Bool

    package init(hits: [TenantHit], hasMore: Bool) {
        self.hits = hits
        self.hasMore = hasMore
    }
}

/// Collects the newest hits across a tenant, in whatever order chats, blocks and rows are searched.
package struct TenantSearchWalk {
    private let query: SearchQuery
    private let page: TenantSearchPage
    private var time: SearchTime
    private var matcher: SearchMatcher
    /// What to search blocks for; nil if only rows can tell.
    package let needle: SearchNeedle?
    /// Newest first; one more than the page has, which shows that there are more.
    private var hits: [(place: SearchPlace, message: Message)] = []
    /// Of the bodies of these, as JSON.
    private var bytes = 0
    /// Whether hits were left out, so that only newer ones than the last matter.
    private var isFull = false

    /// - Throws: `ChatError.searchTimedOut` past the deadline; `CancellationError`.
    package init(_ query: SearchQuery, page: TenantSearchPage, until deadline: ContinuousClock.Instant) throws {
        self.query = query
        self.page = page
        self.time = try SearchTime(until: deadline)
        self.matcher = SearchMatcher(query.text)
        self.needle = query.needle
    }

    /// Whether messages of that time and older ones may still be among the hits.
    package func wants(upTo newest: Timestamp) -> Bool {
        if let after = query.after, newest <= after { return false }
        guard isFull, let last = hits.last else { return true }
        return newest >= last.place.createdAt
    }

    /// Whether messages of that time and newer ones are newer than all that is searched for.
    package func hasPassed(from oldest: Timestamp) -> Bool { newest.map { oldest > $0 } ?? false }

    /// No newer message is searched for; nil if there is no such bound.
    package var newest: Timestamp? {
        guard let place = page.before?.createdAt, let before = query.before else {
            return page.before?.createdAt ?? query.before
        }
        return min(place, before)
    }

    /// Searches one message.
    ///
    /// - Parameters:
    ///   - body: its text in UTF-8.
    ///   - message: makes the message; called for a match.
    /// - Throws: `ChatError.searchTimedOut` past the deadline; `CancellationError`.
    package mutating func see(_ body: UnsafeRawBufferPointer, in chat: Chat.ID, _ message: () -> Message) throws {
        if matcher.matches(body) { take(message(), of: chat) }
        try count(bytes: body.count + SearchWalk.row)
    }

    private mutating func take(_ message: Message, of chat: Chat.ID) {
        let place = SearchPlace(createdAt: message.createdAt, chat: chat, number: message.number)
        guard query.takes(message.createdAt), page.before.map({ place < $0 }) ?? true else { return }
        // Most matches of a frequent text are older than a full page.
        if isFull, let last = hits.last, place < last.place { return }
        let index = hits.firstIndex { $0.place <= place } ?? hits.count
        guard index == hits.count || hits[index].place != place else { return }
        hits.insert((place, message), at: index)
        bytes += message.body.lengthInJSON
        // One more than the page has stays, which shows that there are more.
        while let last = hits.last?.message.body.lengthInJSON,
            hits.count > page.limit + 1 || hits.count > 2 && bytes - last > page.bytes
        {
            hits.removeLast()
            bytes -= last
            isFull = true
        }
        if hits.count > page.limit { isFull = true }
    }

    /// Counts bytes that the store has searched.
    ///
    /// - Throws: like `see`.
    package mutating func count(bytes: Int) throws { try time.count(bytes: bytes) }

    /// The page's hits, newest first, and whether there are more.
    package var found: (hits: [(place: SearchPlace, message: Message)], hasMore: Bool) {
        var (bytes, kept) = (0, 0)
        for hit in hits.prefix(page.limit) {
            bytes += hit.message.body.lengthInJSON
            if kept > 0, bytes > page.bytes { break }
            kept += 1
        }
        return (Array(hits.prefix(kept)), hits.count > kept)
    }
}
