import ChatCore
import MySQLClient

/// The columns of a chat's settings, which all statements select.
enum ChatSettingsRow {
    static let columns = "chats.name, metadata, access, history, receipts"
    /// For an INSERT INTO chats.
    static let insertedColumns = "name, metadata, access, history, receipts"
    static let count = 5

    /// - Parameter column: the first of them.
    static func settings(_ row: borrowing MySQLRow, from column: Int) -> Chat.Settings {
        Chat.Settings(
            name: row.isNull(column) ? nil : row.text(column),
            metadata: row.isNull(column + 1) ? nil : row.text(column + 1),
            access: row.integer(column + 2), history: row.integer(column + 3),
            receipts: row.integer(column + 4))
    }
}

extension Chat.Settings {
    /// In the order of the columns.
    var values: [MySQLValue] {
        [
            name.map { .text($0) } ?? .null, metadata.map { .text($0) } ?? .null, .integer(access.rawValue),
            .integer(history.rawValue), .integer(receipts.rawValue),
        ]
    }
}
