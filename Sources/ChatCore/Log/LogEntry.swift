/// One row of a chat's log, or a run of void rows.
package struct LogEntry: Equatable, Sendable {
    package let number: Message.Number
    /// The last row of a run; else `number`.
    package let last: Message.Number
    /// Nil if the number is void: it never had a message and never will.
    package let message: Message?
    /// When the row was stored, by its writer's clock.
    package let createdAt: Timestamp

    package init(number: Message.Number, message: Message?, createdAt: Timestamp) {
        self.number = number
        self.last = number
        self.message = message
        self.createdAt = createdAt
    }

    package init(_ message: Message) {
        self.init(number: message.number, message: message, createdAt: message.createdAt)
    }

    /// A reply that lacks its root gets the one that was found.
    func telling(_ threads: [Message.Number: ThreadSummary]) -> LogEntry {
        message.map { LogEntry($0.telling(threads)) } ?? self
    }

    /// A run of void rows; their time does not matter.
    package init(voids: ClosedRange<Int64>) {
        self.number = Message.Number(voids.lowerBound)
        self.last = Message.Number(voids.upperBound)
        self.message = nil
        self.createdAt = Timestamp(microseconds: 0)
    }
}
