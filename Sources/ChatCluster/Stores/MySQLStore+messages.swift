import ChatCore
import MySQLClient

extension MySQLStore: MessageStore {
    func message(_ number: Message.Number, in chat: Chat.ID) async throws -> Message? {
        try await observer.observe(.message) {
            try await lookups.message(MessageLookups.Key(chat: chat, number: number)) { keys in
                try await read { try MessageLookups.read(keys, $0) }
            }
        }
    }

    func messages(in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await read(.messages) { connection in
            var messages: [Message] = []
            var bytes = 0
            var walk = self.walk(chat, page)
            try walk.run(limit: page.limit + 1, connection) { row in
                messages.append(MessageRow.message(row))
                bytes += MessageRow.textsInJSON(row)
                return bytes <= page.bytes
            }
            let page = page.cut(to: messages.count, of: bytes)
            return PageOf(
                walked: messages, page: page,
                isPrecededBy: try isPreceded(page, in: .messages, of: chat.rawValue, connection))
        }
    }

    func walk(_ chat: Chat.ID, _ page: Page) -> NumberedWalk {
        walk(.messages, of: chat.rawValue, page, columns: MessageRow.columns)
    }

    func count(in chat: Chat.ID) async throws -> Int64? {
        let count = try await read(.chatMessageCount) { connection in
            try connection.first(
                "SELECT \(ChatCount.columns) FROM chats WHERE id = ?", [.integer(chat.rawValue)]
            ) { ChatCount($0, from: 0) }
        }
        if let count { counting.advance(count, self) }
        return count?.messages
    }
}
