package import ChatCore
import GRDB

extension SQLiteStore: ThreadStore {
    package func replies(to root: Message.Number, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try read(.threads) { db in
            func walk(_ page: Page, limit: Int) throws -> (messages: [Message], bytes: Int) {
                let query = try Query(
                    db,
                    """
                    SELECT \(MessageRow.qualifiedColumns) FROM thread_replies AS replies
                    CROSS JOIN messages ON messages.chat_id = replies.chat_id AND messages.number = replies.number
                    WHERE replies.chat_id = ? AND replies.thread = ? AND replies.number > ? AND replies.number < ?
                    ORDER BY replies.number \(page.walkOrder) LIMIT ?
                    """,
                    .integer(chat.rawValue), .integer(root.rawValue), .integer(page.lowerBound),
                    .integer(page.upperBound), .integer(Int64(limit)))
                var messages: [Message] = []
                var bytes = 0
                while bytes <= page.bytes, try query.next() {
                    messages.append(MessageRow.message(query))
                    bytes += MessageRow.textsInJSON(query)
                }
                return (messages, bytes)
            }
            let (messages, bytes) = try walk(page, limit: page.limit + 1)
            return PageOf(
                walked: messages, page: page.cut(to: messages.count, of: bytes),
                isPrecededBy: try page.behind.map { try !walk($0, limit: 1).messages.isEmpty } ?? false)
        }
    }

    package func threads(
        _ roots: [Message.Number], in chat: Chat.ID
    ) async throws -> [Message.Number: ThreadSummary] {
        try read(.threads) { db in
            var threads: [Message.Number: ThreadSummary] = [:]
            for root in roots { threads[root] = try Self.thread(root, in: chat, db) }
            return threads
        }
    }

    static func thread(
        _ root: Message.Number, in chat: Chat.ID, _ db: some StatementSource
    ) throws -> ThreadSummary? {
        let query = try Query(
            db, "SELECT reply_count, last_reply FROM thread_heads WHERE chat_id = ? AND thread = ?",
            .integer(chat.rawValue), .integer(root.rawValue))
        guard try query.next() else { return nil }
        return ThreadSummary(
            root: root, replyCount: query.integer(0), lastReply: Message.Number(query.integer(1)))
    }

    /// Gives a reply its place in its thread, in the transaction that stores it.
    static func add(reply number: Int64, to thread: Message.Number, in chat: Chat.ID, _ db: Database) throws {
        try Query(
            db, "INSERT INTO thread_replies (chat_id, thread, number) VALUES (?, ?, ?)",
            .integer(chat.rawValue), .integer(thread.rawValue), .integer(number)
        ).run()
        try Query(
            db,
            """
            INSERT INTO thread_heads (chat_id, thread, reply_count, last_reply) VALUES (?, ?, 1, ?)
            ON CONFLICT (chat_id, thread) DO UPDATE SET reply_count = reply_count + 1, last_reply = excluded.last_reply
            """, .integer(chat.rawValue), .integer(thread.rawValue), .integer(number)
        ).run()
    }
}
