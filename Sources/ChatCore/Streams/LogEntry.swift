/// One row of a chat's log, void ones included.
package struct LogEntry: Equatable, Sendable {
    package let number: Message.Number
    /// Nil when the number is void: it never had a message and never will.
    package let message: Message?
    /// When the row was stored, by the clock of who stored it.
    package let createdAt: Timestamp

    package init(number: Message.Number, message: Message?, createdAt: Timestamp) {
        self.number = number
        self.message = message
        self.createdAt = createdAt
    }

    package init(_ message: Message) {
        self.init(number: message.number, message: message, createdAt: message.createdAt)
    }
}
