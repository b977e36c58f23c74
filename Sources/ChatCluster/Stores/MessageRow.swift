import ChatCore
import MySQLClient

/// A row of `messages`, with the columns that all statements select.
enum MessageRow {
    /// The columns of every numbered table come first (`NumberedWalk`).
    static let columns = "\(NumberedWalk.columns), body, created_at, sender"

    /// How many columns that is: what a statement selects after them has this index.
    static let columnCount: Int = columns.split(separator: ",").count

    /// - Parameter row: not void.
    static func message(_ row: borrowing MySQLRow) -> Message {
        let sender = row.isNull(4) ? nil : User.ID(stored: row.text(4))
        return Message(
            number: number(row), content: MessageContent(body: row.text(2), sender: sender), createdAt: createdAt(row))
    }

    static func entry(_ row: borrowing MySQLRow) -> LogEntry {
        let isVoid = row.integer(1) == BatchID.void
        return LogEntry(number: number(row), message: isVoid ? nil : message(row), createdAt: createdAt(row))
    }

    /// Valid until the next row.
    static func body(_ row: borrowing MySQLRow) -> UnsafeRawBufferPointer { row.bytes(2) }

    private static func number(_ row: borrowing MySQLRow) -> Message.Number { Message.Number(row.integer(0)) }

    private static func createdAt(_ row: borrowing MySQLRow) -> Timestamp {
        Timestamp(microseconds: row.timestamp(3))
    }
}
