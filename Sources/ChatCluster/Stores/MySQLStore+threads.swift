import ChatCore
import MySQLClient

extension MySQLStore: ThreadStore {
    func replies(to root: Message.Number, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await read(.threads) { connection in
            let (messages, bytes) = try Self.replies(to: root, in: chat, page, limit: page.limit + 1, connection)
            let behind = try page.behind.map {
                try Self.replies(to: root, in: chat, $0, limit: 1, connection).messages
            }
            return PageOf(
                walked: messages, page: page.cut(to: messages.count, of: bytes),
                isPrecededBy: behind?.isEmpty == false)
        }
    }

    private static func replies(
        to root: Message.Number, in chat: Chat.ID, _ page: Page, limit: Int, _ connection: isolated MySQLConnection
    ) throws -> (messages: [Message], bytes: Int) {
        var messages: [Message] = []
        var bytes = 0
        // The thread's rows first, then each message by its number.
        try connection.query(
            """
            SELECT STRAIGHT_JOIN \(MessageRow.qualifiedColumns) FROM thread_replies AS replies
            JOIN messages FORCE INDEX (index_messages_on_chat_id_and_number)
                ON messages.chat_id = replies.chat_id AND messages.number = replies.number
            WHERE replies.chat_id = ? AND replies.thread = ? AND replies.number > ? AND replies.number < ?
            ORDER BY replies.number \(page.walksUp ? "ASC" : "DESC") LIMIT ?
            """,
            [
                .integer(chat.rawValue), .integer(root.rawValue), .integer(page.lowerBound),
                .integer(page.upperBound), .integer(Int64(limit)),
            ]
        ) { row in
            messages.append(MessageRow.message(row))
            bytes += MessageRow.textsInJSON(row)
            return bytes <= page.bytes
        }
        return (messages, bytes)
    }

    func threads(
        _ roots: [Message.Number], in chat: Chat.ID
    ) async throws -> [Message.Number: ThreadSummary] {
        try await read(.threads) { connection in
            var threads: [Message.Number: ThreadSummary] = [:]
            for some in roots.chunks(of: 256).map(\.padded) {
                let marks = some.map { _ in "?" }.joined(separator: ", ")
                try connection.query(
                    """
                    SELECT thread, reply_count, last_reply FROM thread_heads
                    WHERE chat_id = ? AND thread IN (\(marks))
                    """, [.integer(chat.rawValue)] + some.map { .integer($0.rawValue) }
                ) { row in
                    let root = Message.Number(row.integer(0))
                    threads[root] = ThreadSummary(
                        root: root, replyCount: row.integer(1), lastReply: Message.Number(row.integer(2)))
                    return true
                }
            }
            return threads
        }
    }
}

extension MySQLStore {
    /// The summaries of threads that have got replies or changes just now; read after the commit, so that no lock waits for
    /// it.
    ///
    /// - Parameter keys: nil for what is no reply.
    /// - Returns: none if the database does not answer: what was stored counts, and whoever needs them reads them.
    func threads(_ keys: [ThreadTable.Key?]) async -> [ThreadTable.Key: ThreadSummary] {
        let wanted = Set(keys.compactMap(\.self)).sorted()
        guard !wanted.isEmpty else { return [:] }
        let found = try? await read(within: Self.threadPatience) { connection in
            var threads: [ThreadTable.Key: ThreadSummary] = [:]
            for some in wanted.chunks(of: 64).map(\.padded) {
                let condition = some.map { _ in "(chat_id = ? AND thread = ?)" }.joined(separator: " OR ")
                try connection.query(
                    "SELECT chat_id, thread, reply_count, last_reply FROM thread_heads WHERE \(condition)",
                    some.flatMap { [.integer($0.chat), .integer($0.thread)] }
                ) { row in
                    let key = ThreadTable.Key(chat: row.integer(0), thread: row.integer(1))
                    threads[key] = ThreadSummary(
                        root: Message.Number(key.thread), replyCount: row.integer(2),
                        lastReply: Message.Number(row.integer(3)))
                    return true
                }
            }
            return threads
        }
        return found ?? [:]
    }

    private static var threadPatience: Duration { .seconds(1) }
}

/// The tables of threads, within a create's transaction.
enum ThreadTable {
    typealias Reply = (place: OwnedNumber, thread: Int64)

    struct Key: Hashable, Comparable, Sendable {
        let chat: Int64
        let thread: Int64

        init(chat: Int64, thread: Int64) {
            self.chat = chat
            self.thread = thread
        }

        /// - Returns: nil without a thread.
        init?(chat: Chat.ID, thread: Message.Number?) {
            guard let thread else { return nil }
            self.init(chat: chat.rawValue, thread: thread.rawValue)
        }

        static func < (left: Key, right: Key) -> Bool { (left.chat, left.thread) < (right.chat, right.thread) }
    }

    /// Gives replies their places in their threads. Locks the threads' rows, in one order; creates that are no replies
    /// lock none.
    static func add(_ replies: [Reply], _ connection: isolated MySQLConnection) throws {
        guard !replies.isEmpty else { return }
        let packet = connection.facts.maxPacket
        for some in replies.statements(within: packet) {
            try connection.execute(
                """
                INSERT INTO thread_replies (chat_id, thread, number)
                VALUES \(some.map { _ in "(?, ?, ?)" }.joined(separator: ", "))
                """,
                some.flatMap { [.integer($0.place.owner), .integer($0.thread), .integer($0.place.number)] })
        }
        let threads = Dictionary(grouping: replies) { Key(chat: $0.place.owner, thread: $0.thread) }
        for some in threads.sorted(by: { $0.key < $1.key }).statements(within: packet) {
            try connection.execute(
                """
                INSERT INTO thread_heads (chat_id, thread, reply_count, last_reply)
                VALUES \(some.map { _ in "(?, ?, ?, ?)" }.joined(separator: ", "))
                ON DUPLICATE KEY UPDATE reply_count = reply_count + VALUES(reply_count),
                    last_reply = GREATEST(last_reply, VALUES(last_reply))
                """,
                some.flatMap { key, replies -> [MySQLValue] in
                    [
                        .integer(key.chat), .integer(key.thread), .integer(Int64(replies.count)),
                        .integer(replies.map(\.place.number).max()!),
                    ]
                })
        }
    }
}
