import ChatCore

/// A row of `messages`, with the columns that all statements select.
enum MessageRow {
    static let columns = "number, body, created_at, sender"
    /// Made once, because each read of a message needs it.
    static let lookUp = "SELECT \(columns) FROM messages WHERE chat_id = ? AND number = ?"

    static func message(_ query: borrowing Query) -> Message {
        Message(
            number: Message.Number(query.integer(0)),
            content: MessageContent(
                body: query.text(1), sender: query.isNull(3) ? nil : User.ID(stored: query.text(3))),
            createdAt: Timestamp(microseconds: query.integer(2))
        )
    }

    /// Valid until the next step.
    static func body(_ query: borrowing Query) -> UnsafeRawBufferPointer { query.bytes(1) }
}
