import ChatCore
import MySQLClient

/// A row of `messages`, with the columns that all statements select.
enum MessageRow {
    /// The columns of every numbered table come first (`NumberedWalk`).
    ///
    /// `sender` is read and then compared here, by bytes. A statement that compares it must cast it to BINARY: the column's
    /// collation ignores spaces at the end, and would take one user for another.
    static let columns = """
        \(NumberedWalk.columns), body, created_at, sender, metadata, thread, reply_to, content_revision, edited_at, \
        deleted_at, deleted_by, in_main, reactions_revision, reactions, mentions
        """

    /// Beside tables that have columns of the same names.
    static let qualifiedColumns = columns.split(separator: ", ").map { "messages.\($0)" }.joined(separator: ", ")
    /// How many columns that is: what a statement selects after them has this index.
    static let columnCount: Int = columns.split(separator: ",").count

    /// - Parameter row: not void.
    static func message(_ row: borrowing MySQLRow) -> Message {
        var message = Message(
            number: number(row),
            content: MessageContent(
                body: row.text(2), sender: user(row, 4), metadata: row.isNull(5) ? nil : row.text(5),
                thread: number(row, 6), replyTo: number(row, 7),
                isInMain: !row.isNull(12) && row.integer(12) == 1, mentions: mentions(row, 15)),
            createdAt: createdAt(row))
        message.reactionsRevision = row.integer(13)
        if message.reactionsRevision > 0, !row.isNull(14) { message.reactions = row.text(14) }
        message.revision = row.integer(8)
        guard message.revision > 0 else { return message }
        message.editedAt = time(row, 9)
        message.deletion = time(row, 10).map { Message.Deletion(at: $0, by: user(row, 11)) }
        return message
    }

    static func entry(_ row: borrowing MySQLRow) -> LogEntry {
        let isVoid = row.integer(1) == BatchID.void
        return LogEntry(number: number(row), message: isVoid ? nil : message(row), createdAt: createdAt(row))
    }

    /// Valid until the next row.
    static func body(_ row: borrowing MySQLRow) -> UnsafeRawBufferPointer { row.bytes(2) }

    /// Bytes of its texts as JSON.
    static func textsInJSON(_ row: borrowing MySQLRow) -> Int {
        body(row).lengthInJSON + row.bytes(5).count + row.bytes(14).count + row.bytes(15).count
    }

    static func mentions(_ row: borrowing MySQLRow, _ column: Int) -> Mentions? {
        row.isNull(column) ? nil : Mentions(json: row.text(column))
    }

    private static func number(_ row: borrowing MySQLRow) -> Message.Number { Message.Number(row.integer(0)) }

    private static func number(_ row: borrowing MySQLRow, _ column: Int) -> Message.Number? {
        row.isNull(column) ? nil : Message.Number(row.integer(column))
    }

    private static func createdAt(_ row: borrowing MySQLRow) -> Timestamp {
        Timestamp(microseconds: row.timestamp(3))
    }

    private static func time(_ row: borrowing MySQLRow, _ column: Int) -> Timestamp? {
        row.isNull(column) ? nil : Timestamp(microseconds: row.timestamp(column))
    }

    private static func user(_ row: borrowing MySQLRow, _ column: Int) -> User.ID? {
        row.isNull(column) ? nil : User.ID(stored: row.text(column))
    }
}
