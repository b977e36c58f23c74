import ChatCore

/// A row of `messages`, with the columns that all statements select.
enum MessageRow {
    static let columns = names.joined(separator: ", ")
    /// Beside tables that have columns of the same names.
    static let qualifiedColumns = names.map { "messages.\($0)" }.joined(separator: ", ")
    /// How many columns that is: what a statement selects after them has this index.
    static let columnCount = CInt(names.count)
    /// Made once, because each read of a message needs it.
    static let lookUp = "SELECT \(columns) FROM messages WHERE chat_id = ? AND number = ?"

    private static let names = [
        "number", "body", "created_at", "sender", "metadata", "thread", "reply_to", "content_revision", "edited_at",
        "deleted_at", "deleted_by", "in_main", "reactions_revision", "reactions",
        "mentions",
    ]

    static func message(_ query: borrowing Query) -> Message {
        var message = Message(
            number: Message.Number(query.integer(0)),
            content: MessageContent(
                body: query.text(1), sender: user(query, 3), metadata: query.isNull(4) ? nil : query.text(4),
                thread: number(query, 5), replyTo: number(query, 6),
                isInMain: query.integer(11) == 1, mentions: mentions(query, 14)),
            createdAt: Timestamp(microseconds: query.integer(2)))
        message.reactionsRevision = query.integer(12)
        if message.reactionsRevision > 0, !query.isNull(13) { message.reactions = query.text(13) }
        message.revision = query.integer(7)
        guard message.revision > 0 else { return message }
        if !query.isNull(8) { message.editedAt = Timestamp(microseconds: query.integer(8)) }
        if !query.isNull(9) {
            message.deletion = Message.Deletion(
                at: Timestamp(microseconds: query.integer(9)), by: user(query, 10))
        }
        return message
    }

    /// Valid until the next step.
    static func body(_ query: borrowing Query) -> UnsafeRawBufferPointer { query.bytes(1) }

    /// Bytes of its texts as JSON.
    static func textsInJSON(_ query: borrowing Query) -> Int {
        body(query).lengthInJSON + query.bytes(4).count + query.bytes(13).count + query.bytes(14).count
    }

    static func mentions(_ query: borrowing Query, _ column: CInt) -> Mentions? {
        query.isNull(column) ? nil : Mentions(json: query.text(column))
    }

    private static func number(_ query: borrowing Query, _ column: CInt) -> Message.Number? {
        query.isNull(column) ? nil : Message.Number(query.integer(column))
    }

    private static func user(_ query: borrowing Query, _ column: CInt) -> User.ID? {
        query.isNull(column) ? nil : User.ID(stored: query.text(column))
    }
}
