/// One message of a chat. It never changes once stored.
package struct Message: Equatable, Sendable {
    /// 1, 2, 3 … within its chat, in the order of the log.
    package struct Number: Hashable, Sendable, SequenceNumber {
        package let rawValue: Int64

        package init(_ rawValue: Int64) { self.rawValue = rawValue }
    }

    package let number: Number
    /// The text, byte for byte as it was sent.
    package let body: String
    package let createdAt: Timestamp

    package init(number: Number, body: String, createdAt: Timestamp) {
        self.number = number
        self.body = body
        self.createdAt = createdAt
    }
}
