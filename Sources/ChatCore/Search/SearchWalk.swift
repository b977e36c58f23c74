/// One walk along a chat in search of a text: the same for every store, so that the same text gives the same answer.
package struct SearchWalk {
    /// How long one search may walk.
    package static let deadline = Duration.seconds(5)

    package private(set) var found: [Message] = []
    private var matcher: SearchMatcher
    private let limit: Int
    private let bound: Int
    private let deadline: ContinuousClock.Instant
    private var bytes = 0
    /// Bytes that were looked at since the clock was.
    private var unchecked = 0

    /// A megabyte of text that is not ASCII takes some 20 ms to look through.
    private static let stride = 256 << 10
    /// What a row costs, whatever its length.
    private static let row = 256

    /// - Parameters:
    ///   - limit: how many matches end the walk.
    ///   - bound: how many bytes of matches do, as they are written.
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

    /// Looks at one message.
    ///
    /// - Parameters:
    ///   - body: its text in UTF-8.
    ///   - message: makes the message, if it is wanted.
    /// - Returns: whether to go on.
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
