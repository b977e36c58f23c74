import ChatCore
import MySQLClient
import Synchronization

/// The exact number of a chat's messages, at a cost that depends only on its new ones.
///
/// Stored messages never go away, so once the numbers 1 to n are all stored, they stay so: `chats.counted_number` is
/// such an n. Only rows after it are counted, in the index, and void ones are subtracted.
struct ChatCount: Sendable {
    /// For a query FROM chats that finds one by a unique key. If it finds more, MariaDB counts each chat from its
    /// start, because it uses no range that depends on another table's column.
    static let columns = """
        id, counted_number, void_count, (
            SELECT COUNT(*) FROM \(NumberedTable.messages.byNumber)
            WHERE chat_id = chats.id AND number > chats.counted_number)
        """

    let chat: Int64
    let messages: Int64
    /// How many rows had to be counted.
    let uncounted: Int64

    init(chat: Int64, counted: Int64, voids: Int64, uncounted: Int64) {
        self.chat = chat
        self.messages = counted - voids + uncounted
        self.uncounted = uncounted
    }

    init(_ row: borrowing MySQLRow, from column: Int) {
        self.init(
            chat: row.integer(column), counted: row.integer(column + 1), voids: row.integer(column + 2),
            uncounted: row.integer(column + 3))
    }

    /// The number of messages after a number, for each chat; chats without any are left out.
    static func messages(after places: [OwnedNumber], _ connection: isolated MySQLConnection) throws -> [Int64: Int64] {
        var counts: [Int64: Int64] = [:]
        for some in places.chunks(of: 256).map(\.padded) {
            try connection.query(
                """
                SELECT chat_id, COUNT(*) FROM \(NumberedTable.messages.byNumber)
                WHERE \(some.map { _ in "(chat_id = ? AND number > ?)" }.joined(separator: " OR ")) GROUP BY chat_id
                """, some.flatMap { [.integer($0.owner), .integer($0.number)] }
            ) { row in
                counts[row.integer(0)] = row.integer(1)
                return true
            }
        }
        return counts
    }
}

/// Advances `chats.counted_number` after a reader had to count many rows.
final class Counting: Sendable {
    /// Counting this many rows takes well under a millisecond.
    private static let tolerated: Int64 = 4096
    /// The newest numbers are left out, because gaps among them may still be filled.
    private static let unsettled: Int64 = 1024
    /// Chats at the same time; others wait for their next reader.
    private static let bound = 4

    private let running = Mutex<Set<Int64>>([])

    func advance(_ count: ChatCount, _ store: MySQLStore) {
        guard count.uncounted > Self.tolerated else { return }
        let isFirst = running.withLock { running in running.count < Self.bound && running.insert(count.chat).inserted }
        guard isFirst else { return }
        Task {
            // After a failure, the next reader counts the same rows, and tries again.
            try? await store.scan(within: .seconds(5)) { try Self.advance(count.chat, $0) }
            running.withLock { _ = $0.remove(count.chat) }
        }
    }

    /// Advances to just before the newest messages, if none is missing up to there.
    static func advance(_ chat: Int64, _ connection: isolated MySQLConnection) throws {
        let ends = try connection.first(
            """
            SELECT counted_number, (
                SELECT number FROM \(NumberedTable.messages.byNumber)
                WHERE chat_id = chats.id AND number <= \(NumberedTable.lastNumber) ORDER BY number DESC LIMIT 1)
            FROM chats WHERE id = ?
            """, [.integer(chat)]
        ) { ($0.integer(0), $0.integer(1) - unsettled) }
        guard let (counted, goal) = ends, goal > counted else { return }
        let stored = try connection.first(
            """
            SELECT COUNT(*) FROM \(NumberedTable.messages.byNumber) WHERE chat_id = ? AND number > ? AND number <= ?
            """,
            [.integer(chat), .integer(counted), .integer(goal)]
        ) { $0.integer(0) }
        guard stored == goal - counted else { return }
        try connection.execute(
            "UPDATE chats SET counted_number = ? WHERE id = ? AND counted_number = ?",
            [.integer(goal), .integer(chat), .integer(counted)])
    }
}
