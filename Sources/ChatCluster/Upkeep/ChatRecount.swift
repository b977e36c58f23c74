import Logging
import MySQLClient

/// Sets `chats.messages_count` and `counted_number` from the rows, for up to 256 chats at a time.
struct ChatRecount: Sendable {
    /// A chat's state in one snapshot.
    struct Chat: Identifiable, Sendable {
        let id: Int64
        let application: Int64
        /// `messages_count`, which may be wrong or null.
        let stored: MySQLValue
        let counted: Int64
        let voids: Int64
        /// The number of rows above `counted`.
        var uncounted: Int64 = 0
        /// The highest number of all rows.
        var highest: Int64

        var messages: Int64 { counted - voids + uncounted }
        /// Whether the numbers 1 to `highest` are all stored. Stored numbers never go away, so this stays true.
        var isDense: Bool { uncounted == highest - counted }
        /// The highest correct `counted_number`.
        var countable: Int64 { isDense ? highest : counted }
    }

    /// A chat with a gap is advanced only if it has more uncounted rows than this.
    private static let many: Int64 = 4096
    /// How many chats with gaps are advanced in a chunk.
    private static let advanced = 16

    let context: JobContext

    /// - Parameter ids: at most 256.
    /// - Returns: the existing chats, and those that could not be written.
    func run(_ ids: [Int64]) async throws -> (chats: [Chat], unwritten: Unwritten) {
        guard !ids.isEmpty else { return ([], Unwritten()) }
        let chats = try await context.snapshot { try Self.look(ids, $0) }
        try await context.interruption()
        let unwritten = try await write(chats)
        for chat in chats.filter({ !$0.isDense && $0.uncounted > Self.many }).prefix(Self.advanced) {
            try await context.read { try Counting.advance(chat.id, $0) }
        }
        return (chats, unwritten)
    }

    /// Call it within a snapshot: otherwise a number that becomes void between the two statements is counted.
    private static func look(_ ids: [Int64], _ connection: isolated MySQLConnection) throws -> [Chat] {
        let ids = ids.padded
        var chats = try connection.rows(
            """
            SELECT id, application_id, messages_count, counted_number, void_count FROM chats
            WHERE id IN (\(ids.map { _ in "?" }.joined(separator: ", ")))
            """, ids.map { .integer($0) }
        ) { row in
            Chat(
                id: row.integer(0), application: row.integer(1),
                stored: row.isNull(2) ? .null : .integer(row.integer(2)),
                counted: row.integer(3), voids: row.integer(4), highest: row.integer(3))
        }
        let places = chats.padded
        guard !places.isEmpty else { return [] }
        let indexes = Dictionary(uniqueKeysWithValues: chats.enumerated().map { ($1.id, $0) })
        try connection.query(
            """
            SELECT chat_id, COUNT(*), MAX(number) FROM \(NumberedTable.messages.byNumber)
            WHERE \(places.map { _ in "(chat_id = ? AND number > ?)" }.joined(separator: " OR ")) GROUP BY chat_id
            """, places.flatMap { [.integer($0.id), .integer($0.counted)] }
        ) { row in
            guard let index = indexes[row.integer(0)] else { return true }
            chats[index].uncounted = row.integer(1)
            chats[index].highest = row.integer(2)
            return true
        }
        return chats
    }

    /// Writes counts that differ, if the stored one is still the one that was read before the rows were counted: a slow
    /// run must not overwrite a newer count.
    private func write(_ chats: [Chat]) async throws -> Unwritten {
        let wrong = chats.filter { chat in
            guard chat.messages >= 0 else {
                context.logger.error(
                    "A chat has more void numbers than messages; luciq verify --mend repairs it",
                    metadata: ["chat": "\(chat.id)"])
                return false
            }
            return chat.stored != .integer(chat.messages) || chat.countable > chat.counted
        }
        return try await context.update(wrong) { chats, connection in
            let rows = chats.padded
            let messages = CaseByID(rows.map { ($0.id, $0.messages) })
            let counted = CaseByID(rows.map { ($0.id, $0.countable) })
            let condition = rows.map { _ in "(id = ? AND messages_count <=> ?)" }.joined(separator: " OR ")
            let known = rows.flatMap { [MySQLValue.integer($0.id), $0.stored] }
            return try connection.execute(
                """
                UPDATE chats SET
                    messages_count = \(messages.sql) ELSE messages_count END,
                    counted_number = GREATEST(counted_number, \(counted.sql) ELSE 0 END)
                WHERE \(condition)
                """, messages.parameters + counted.parameters + known
            ).affectedRows
        }
    }
}
