/// One walk along a chat in search of a text: the same for every store, so that the same text gives the same answer.
package struct SearchWalk {
    /// How long one search may walk.
    package static let deadline = Duration.seconds(5)

    package private(set) var found: [Message] = []
    private var matcher: SearchMatcher
    private let limit: Int
    private let deadline: ContinuousClock.Instant
    private var bytes = 0
    private var walked = 0

    /// - Parameter limit: how many matches end the walk.
    /// - Throws: `ChatError.unavailable` past the deadline.
    package init(_ text: SearchText, limit: Int, until deadline: ContinuousClock.Instant) throws(ChatError) {
        self.matcher = SearchMatcher(text)
        self.limit = limit
        self.deadline = deadline
        try checkDeadline()
    }

    /// Looks at one message.
    ///
    /// - Parameters:
    ///   - body: its text in UTF-8.
    ///   - message: makes the message, if it is wanted.
    /// - Returns: whether to go on.
    /// - Throws: `ChatError.unavailable` past the deadline.
    package mutating func see(_ body: UnsafeRawBufferPointer, _ message: () -> Message) throws(ChatError) -> Bool {
        if matcher.matches(body) {
            found.append(message())
            bytes += body.count
        }
        walked += 1
        if walked.isMultiple(of: 1024) { try checkDeadline() }
        return found.count < limit && bytes <= Page.bodyBytes
    }

    private func checkDeadline() throws(ChatError) {
        guard ContinuousClock.now < deadline else {
            throw .unavailable(reason: "The search took too long; narrow it with after and before")
        }
    }
}
