/// One row of a chat's log, or many void ones side by side.
package struct LogEntry: Equatable, Sendable {
    package let number: Message.Number
    /// Of the last row: `number`, but for void rows side by side.
    package let last: Message.Number
    /// Nil when the number is void: it never had a message and never will.
    package let message: Message?
    /// When the row was stored, by the clock of who stored it.
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

    /// Many void rows, of whatever age.
    package init(voids: ClosedRange<Int64>) {
        self.number = Message.Number(voids.lowerBound)
        self.last = Message.Number(voids.upperBound)
        self.message = nil
        self.createdAt = Timestamp(microseconds: 0)
    }
}
