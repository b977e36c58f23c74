package import ChatCore
import GRDB

extension SQLiteStore: MessageStore, LocalReads {
    package func message(_ number: Message.Number, in chat: Chat.ID) async throws -> Message? {
        try storedMessage(number, in: chat)
    }

    package func messageNow(_ number: Message.Number, in chat: Chat.ID) throws -> Message? {
        guard let message = try storedMessage(number, in: chat) else { throw ChatError.notFound }
        return message
    }

    private func storedMessage(_ number: Message.Number, in chat: Chat.ID) throws -> Message? {
        try read(.message) { db in
            let query = try Query(db, MessageRow.lookUp, .integer(chat.rawValue), .integer(number.rawValue))
            return try query.next() ? MessageRow.message(query) : nil
        }
    }

    package func messages(in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try storedMessages(in: chat, page: page).messages
    }

    package func headNow(of chat: Chat.ID) throws -> ChatCore.Cursor? {
        try read(.revisions) { db in
            let query = try Query(
                db,
                """
                SELECT last_message_number, revision FROM chats LEFT JOIN chat_heads ON chat_id = id WHERE id = ?
                """, .integer(chat.rawValue))
            return try query.next()
                ? ChatCore.Cursor(query.integer(0), revision: query.integer(1)) : ChatCore.Cursor(0, revision: 0)
        }
    }

    package func messagesNow(in chat: Chat.ID, page: Page) throws -> PageOf<Message>? {
        let (messages, isCut) = try storedMessages(in: chat, page: page)
        return isCut ? nil : messages
    }

    /// - Returns: the page, and whether it ends early because its bodies are long.
    private func storedMessages(in chat: Chat.ID, page: Page) throws -> (messages: PageOf<Message>, isCut: Bool) {
        try read(.messages) { db in
            let query = try Self.walk(chat, page, limit: page.limit + 1, db)
            var messages: [Message] = []
            var bytes = 0
            while bytes <= page.bytes, try query.next() {
                messages.append(MessageRow.message(query))
                bytes += MessageRow.textsInJSON(query)
            }
            let cut = page.cut(to: messages.count, of: bytes)
            let found = PageOf(
                walked: messages, page: cut,
                isPrecededBy: try cut.isPreceded(in: "messages", where: "chat_id", is: chat.rawValue, db))
            return (found, bytes > page.bytes)
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
