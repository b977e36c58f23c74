/// One message of a chat. It never changes once stored.
package struct Message: Equatable, Sendable {
    /// 1, 2, 3 … within its chat, in the order of the log.
    package struct Number: Hashable, Sendable, SequenceNumber {
        package let rawValue: Int64

        package init(_ rawValue: Int64) { self.rawValue = rawValue }
    }

    package let number: Number
    package let content: MessageContent
    package let createdAt: Timestamp

    package var body: String { content.body }

    package init(number: Number, content: MessageContent, createdAt: Timestamp) {
        self.number = number
        self.content = content
        self.createdAt = createdAt
    }

    package init(number: Number, body: String, createdAt: Timestamp) {
        self.init(number: number, content: MessageContent(body: body), createdAt: createdAt)
    }
}
