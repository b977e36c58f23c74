import ChatCore
import MySQLClient

extension MySQLStore: MessageStore {
    /// Rows a statement of a walk: more than a page's.
    private static let walkPart = 1024

    func message(_ number: Message.Number, in chat: Chat.ID) async throws -> Message? {
        try await read { connection in
            try connection.first(
                "SELECT number, body, created_at FROM messages WHERE chat_id = ? AND number = ? AND batch_id >= 0",
                [.integer(chat.rawValue), .integer(number.rawValue)], Self.message)
        }
    }

    func messages(in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await read { connection in
            var messages: [Message] = []
            var bytes = 0
            try Self.walk(chat, page, limit: page.limit + 1, connection) { row in
                messages.append(Self.message(row))
                bytes += row.bytes(1).lengthInJSON
                return bytes <= page.bytes
            }
            let page = page.cut(to: messages)
            return PageOf(
                walked: messages, page: page,
                isPrecededBy: try page.isPreceded(in: .messages, of: chat.rawValue, connection))
        }
    }

    /// Whether a row lies behind a place is asked of the index; which rows match is found out here, by the same code that
    /// searches the embedded store, so that the same text gives the same answer.
    func search(_ text: SearchText, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        // The wait for a free connection counts as well.
        let deadline = ContinuousClock.now + SearchWalk.deadline
        return try await scan(within: SearchWalk.deadline) { connection in
            let found = try Self.matches(text, chat, page, limit: page.limit + 1, deadline, connection)
            let page = page.cut(to: found)
            guard let behind = page.behind else { return PageOf(walked: found, page: page, isPrecededBy: false) }
            let preceding = try Self.matches(text, chat, behind, limit: 1, deadline, connection)
            return PageOf(walked: found, page: page, isPrecededBy: !preceding.isEmpty)
        }
    }

    private static func matches(
        _ text: SearchText,
        _ chat: Chat.ID,
        _ page: Page,
        limit: Int,
        _ deadline: ContinuousClock.Instant,
        _ connection: isolated MySQLConnection
    ) throws -> [Message] {
        var search = try SearchWalk(text, limit: limit, bound: page.bytes, until: deadline)
        try walk(chat, page, limit: .max, connection) { row in
            try search.see(row.bytes(1)) { message(row) }
        }
        return search.found
    }

    func count(in chat: Chat.ID) async throws -> Int64? {
        let count = try await read { connection in
            try connection.first(
                "SELECT \(ChatCount.columns) FROM chats WHERE id = ?", [.integer(chat.rawValue)]
            ) { ChatCount($0, from: 0) }
        }
        if let count { counting.advance(count, self) }
        return count?.messages
    }

    /// Shows `each` a chat's rows in the direction of a page, until it has seen enough. In parts, because the server sends
    /// all that a statement finds, wanted or not.
    private static func walk(
        _ chat: Chat.ID, _ page: Page, limit: Int, _ connection: isolated MySQLConnection,
        each: (borrowing MySQLRow) throws -> Bool
    ) throws {
        var (lower, upper, left) = (page.lowerBound, page.upperBound, limit)
        while left > 0 {
            let part = min(left, walkPart)
            var (seen, goesOn) = (0, true)
            try connection.query(
                """
                SELECT number, body, created_at FROM \(NumberedTable.messages.byNumber)
                WHERE chat_id = ? AND number > ? AND number < ? AND batch_id >= 0
                ORDER BY number \(page.walkOrder) LIMIT ?
                """,
                [.integer(chat.rawValue), .integer(lower), .integer(upper), .integer(Int64(part))]
            ) { row in
                seen += 1
                if page.walksUp { lower = row.integer(0) } else { upper = row.integer(0) }
                goesOn = try each(row)
                return goesOn
            }
            guard goesOn, seen == part else { return }
            left -= part
        }
    }

    private static func message(_ row: borrowing MySQLRow) -> Message {
        Message(
            number: Message.Number(row.integer(0)),
            body: row.text(1),
            createdAt: Timestamp(microseconds: row.timestamp(2))
        )
    }
}
