/// Searches a chat for a text, message by message; used by every store, so that the same text gives the same result.
package struct SearchWalk {
    /// The time limit of one search.
    package static let deadline = Duration.seconds(5)

    package private(set) var found: [Message] = []
    private var matcher: SearchMatcher
    /// What to search blocks for; nil if only rows can tell.
    package let needle: SearchNeedle?
    private let query: SearchQuery
    private let limit: Int
    private let bound: Int
    private let deadline: ContinuousClock.Instant
    private var bytes = 0
    /// Bytes searched since the clock was read.
    private var unchecked = 0

    /// Searching a megabyte takes a few milliseconds.
    static let stride = 256 << 10
    /// The cost of a row without its text, in bytes.
    static let row = 256

    /// - Parameters:
    ///   - limit: the most matches.
    ///   - bound: the most bytes of matches, as encoded.
    /// - Throws: `ChatError.unavailable` past the deadline; `CancellationError`.
    package init(
        _ query: SearchQuery, limit: Int, bound: Int = Page.defaultBytes, until deadline: ContinuousClock.Instant
    ) throws {
        self.query = query
        self.matcher = SearchMatcher(query.text)
        self.needle = query.text.needle
        self.limit = limit
        self.bound = bound
        self.deadline = deadline
        try checkIsWanted()
    }

    /// Searches one message.
    ///
    /// - Parameters:
    ///   - body: its text in UTF-8.
    ///   - message: makes the message; called for a match.
    /// - Returns: whether to continue.
    /// - Throws: `ChatError.unavailable` past the deadline; `CancellationError`.
    package mutating func see(_ body: UnsafeRawBufferPointer, _ message: () -> Message) throws -> Bool {
        if matcher.matches(body) { take(message(), body) }
        try count(bytes: body.count + Self.row)
        return !hasSeenEnough
    }

    /// Whether it has the most matches.
    package var hasSeenEnough: Bool { found.count >= limit || bytes > bound }

    private mutating func take(_ message: Message, _ body: UnsafeRawBufferPointer) {
        guard query.takes(message.createdAt) else { return }
        found.append(message)
        bytes += body.lengthInJSON
    }

    /// Counts bytes that the store has searched.
    ///
    /// - Throws: like `see`.
    mutating func count(bytes: Int) throws {
        unchecked += bytes
        if unchecked >= Self.stride {
            unchecked = 0
            try checkIsWanted()
        }
    }

    private func checkIsWanted() throws { try Self.checkIsWanted(until: deadline) }

    /// - Throws: `ChatError.unavailable` past the deadline; `CancellationError`.
    static func checkIsWanted(until deadline: ContinuousClock.Instant) throws {
        try Task.checkCancellation()
        guard ContinuousClock.now < deadline else {
            throw ChatError.unavailable(reason: "The search took too long; narrow it with after and before")
        }
    }
}
