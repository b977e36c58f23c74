package import ChatCore
import GRDB

extension SQLiteStore: MessageStore {
    package func message(_ number: Message.Number, in chat: Chat.ID) async throws -> Message? {
        try read(.message) { db in
            let query = try Query(
                db, "SELECT \(MessageRow.columns) FROM messages WHERE chat_id = ? AND number = ?",
                .integer(chat.rawValue), .integer(number.rawValue))
            return try query.next() ? MessageRow.message(query) : nil
        }
    }

    package func messages(in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try read(.messages) { db in
            let query = try Self.walk(chat, page, limit: page.limit + 1, db)
            var messages: [Message] = []
            var bytes = 0
            while bytes <= page.bytes, try query.next() {
                messages.append(MessageRow.message(query))
                bytes += MessageRow.body(query).lengthInJSON
            }
            let page = page.cut(to: messages)
            return PageOf(
                walked: messages, page: page,
                isPrecededBy: try page.isPreceded(in: "messages", where: "chat_id", is: chat.rawValue, db))
        }
    }

    package func count(in chat: Chat.ID) async throws -> Int64? {
        try read(.chatMessageCount) { db in
            let query = try Query(db, "SELECT messages_count FROM chats WHERE id = ?", .integer(chat.rawValue))
            return try query.next() ? query.integer(0) : nil
        }
    }

    /// - Parameter limit: -1 for no limit.
    static func walk(_ chat: Chat.ID, _ page: Page, limit: Int, _ db: some StatementSource) throws -> Query {
        try Query(
            db,
            """
            SELECT \(MessageRow.columns) FROM messages
            WHERE chat_id = ? AND number > ? AND number < ? ORDER BY number \(page.walkOrder) LIMIT ?
            """,
            .integer(chat.rawValue), .integer(page.lowerBound), .integer(page.upperBound), .integer(Int64(limit)))
    }
}
