/// Searches a chat for a text, message by message; used by every store, so that the same text gives the same result.
package struct SearchWalk {
    /// The time limit of one search.
    package static let deadline = Duration.seconds(2)

    package private(set) var found: [Message] = []
    private var matcher: SearchMatcher
    /// What to search blocks for; nil if only rows can tell.
    package let needle: SearchNeedle?
    private let query: SearchQuery
    private let limit: Int
    private let bound: Int
    private var time: SearchTime
    private var bytes = 0
    /// Whether the time was up after the first match: there may be more matches.
    package private(set) var isCutShort = false

    /// The cost of a row without its text, in bytes.
    package static let row = 256

    /// - Parameters:
    ///   - limit: the most matches.
    ///   - bound: the most bytes of matches, as encoded.
    ///   - deadline: a search that has a match by then ends, so that whoever goes on after it makes progress.
    /// - Throws: `ChatError.searchTimedOut` past the deadline; `CancellationError`.
    package init(
        _ query: SearchQuery, limit: Int, bound: Int = Page.defaultBytes, until deadline: ContinuousClock.Instant
    ) throws {
        self.query = query
        self.matcher = SearchMatcher(query.text)
        self.needle = query.needle
        self.limit = limit
        self.bound = bound
        self.time = try SearchTime(until: deadline)
    }

    /// The page of a search.
    ///
    /// - Parameter matches: walks a page until it has so many matches.
    package static func page(
        _ page: Page, matches: (Page, _ limit: Int) throws -> SearchWalk
    ) throws -> PageOf<Message> {
        let walk = try matches(page, page.limit + 1)
        let page = page.cut(to: walk.found)
        var precedes = false
        do {
            if let behind = page.behind { precedes = try !matches(behind, 1).found.isEmpty }
        } catch ChatError.searchTimedOut {
            // The page is complete: whoever goes there finds out.
            precedes = true
        }
        return PageOf(walked: walk.found, page: page, isPrecededBy: precedes, isCutShort: walk.isCutShort)
    }

    /// Searches one message.
    ///
    /// - Parameters:
    ///   - body: its text in UTF-8.
    ///   - message: makes the message; called for a match.
    /// - Returns: whether to continue.
    /// - Throws: `ChatError.searchTimedOut` past the deadline; `CancellationError`.
    package mutating func see(_ body: UnsafeRawBufferPointer, _ message: () -> Message) throws -> Bool {
        if matcher.matches(body) { take(message(), body) }
        try count(bytes: body.count + Self.row) { message().number.rawValue }
        return !hasSeenEnough
    }

    /// Whether it has the most matches, or some and no time for more.
    package var hasSeenEnough: Bool { found.count >= limit || bytes > bound || isCutShort }

    func takes(_ time: Timestamp) -> Bool { query.takes(time) }

    private mutating func take(_ message: Message, _ body: UnsafeRawBufferPointer) {
        guard query.takes(message) else { return }
        found.append(message)
        bytes += body.lengthInJSON
    }

    /// Counts bytes that the store has searched.
    ///
    /// - Parameter passed: the last number that was searched.
    /// - Throws: like `see`.
    mutating func count(bytes: Int, _ passed: () -> Int64?) throws {
        do {
            try time.count(bytes: bytes)
        } catch ChatError.searchTimedOut {
            try endTime(passed: passed())
        }
    }

    /// The time was up within `looking`.
    ///
    /// - Parameter passed: the last number that was searched.
    /// - Throws: `ChatError.searchTimedOut` if nothing was found.
    package mutating func endTime(passed: Int64?) throws {
        if found.isEmpty { throw ChatError.searchTimedOut(passed: passed) }
        isCutShort = true
    }

    /// To look at rows where the store does that by itself; it shows the walk those that match.
    package var looking: SearchRows { SearchRows(matcher: matcher, time: time) }
}

/// Looks at rows within a store's own walk, within the time of the search.
package struct SearchRows {
    var matcher: SearchMatcher
    var time: SearchTime

    /// Whether a row matches.
    ///
    /// - Throws: `ChatError.searchTimedOut` past the deadline, `CancellationError`; before it looks at the row.
    package mutating func matches(_ body: UnsafeRawBufferPointer) throws -> Bool {
        try time.count(bytes: body.count + SearchWalk.row)
        return matcher.matches(body)
    }
}

/// The time of one search. Reads the clock now and then, because that costs more than looking at a row.
struct SearchTime {
    private let deadline: ContinuousClock.Instant
    /// Bytes searched since the clock was read.
    private var unchecked = 0

    /// Searching so many bytes takes a few milliseconds at most.
    static let stride = 256 << 10

    /// - Throws: like `count`.
    init(until deadline: ContinuousClock.Instant) throws {
        self.deadline = deadline
        try checkIsWanted()
    }

    /// Counts bytes that were searched.
    ///
    /// - Throws: `ChatError.searchTimedOut` past the deadline; `CancellationError`.
    mutating func count(bytes: Int) throws {
        unchecked += bytes
        guard unchecked >= Self.stride else { return }
        unchecked = 0
        try checkIsWanted()
    }

    private func checkIsWanted() throws {
        try Task.checkCancellation()
        guard ContinuousClock.now < deadline else { throw ChatError.searchTimedOut(passed: nil) }
    }
}
