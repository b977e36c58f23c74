/// Searches a chat for a text, message by message; used by every store, so that the same text gives the same result.
package struct SearchWalk {
    /// The time limit of one search.
    package static let deadline = Duration.seconds(5)

    package private(set) var found: [Message] = []
    private var matcher: SearchMatcher
    private let limit: Int
    private let bound: Int
    private let deadline: ContinuousClock.Instant
    private var bytes = 0
    /// Bytes searched since the clock was read.
    private var unchecked = 0

    /// Searching a megabyte of text that is not ASCII takes about 20 ms.
    private static let stride = 256 << 10
    /// The cost of a row without its text, in bytes.
    private static let row = 256

    /// - Parameters:
    ///   - limit: the most matches.
    ///   - bound: the most bytes of matches, as encoded.
    /// - Throws: `ChatError.unavailable` past the deadline; `CancellationError`.
    package init(
        _ text: SearchText, limit: Int, bound: Int = Page.defaultBytes, until deadline: ContinuousClock.Instant
    ) throws {
        self.matcher = SearchMatcher(text)
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
        if matcher.matches(body) {
            found.append(message())
            bytes += body.lengthInJSON
        }
        unchecked += body.count + Self.row
        if unchecked >= Self.stride {
            unchecked = 0
            try checkIsWanted()
        }
        return found.count < limit && bytes <= bound
    }

    private func checkIsWanted() throws {
        try Task.checkCancellation()
        guard ContinuousClock.now < deadline else {
            throw ChatError.unavailable(reason: "The search took too long; narrow it with after and before")
        }
    }
}
