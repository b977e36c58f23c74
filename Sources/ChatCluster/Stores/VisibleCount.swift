import ChatCore
import MySQLClient

/// How many messages of a chat are there for a user who sees some of its numbers, at a cost that depends only on the new
/// ones.
///
/// The numbers up to `chats.counted_number` are all stored (`ChatCount`), so there the span of numbers says how many rows
/// there are. Only rows after it are counted. Void ones are subtracted by their runs, in `message_voids`.
struct VisibleCount: Sendable {
    /// Places a statement.
    private static let statementPlaces = 256

    let chat: Int64
    private let counted: Int64
    private let voids: Int64
    private let numbers: NumberSpan

    init(chat: Int64, counted: Int64, voids: Int64, numbers: NumberSpan) {
        self.chat = chat
        self.counted = counted
        self.voids = voids
        self.numbers = NumberSpan(
            first: max(numbers.first, 1), last: min(numbers.last, NumberedTable.lastNumber))
    }

    private var isWhole: Bool { numbers.first == 1 && numbers.last == NumberedTable.lastNumber }
    /// The rows up to the counted number.
    private var dense: Int64 { max(0, min(numbers.last, counted) - numbers.first + 1) }
    /// What has to be counted; nil if nothing.
    private var tail: (after: Int64, last: Int64)? {
        let start = max(counted, numbers.first - 1)
        return start < numbers.last ? (start, numbers.last) : nil
    }

    /// The counts of some chats.
    struct Found: Sendable {
        var messages: [Int64: Int64] = [:]
        /// The rows that had to be counted.
        var uncounted: [ChatCount] = []
        /// Chats some of whose void numbers nobody has recorded.
        var unknown: [VisibleCount] = []
    }

    static func find(_ chats: [VisibleCount], _ connection: isolated MySQLConnection) throws -> Found {
        // The void numbers first: one that becomes void between the two statements is counted in this answer.
        let voids = try runs(of: chats.filter { $0.voids > 0 && !$0.isWhole }, connection)
        var rows: [Int64: Int64] = [:]
        for some in chats.filter({ $0.tail != nil }).chunks(of: statementPlaces).map(\.padded) {
            let places = some.map { _ in "(chat_id = ? AND number > ? AND number <= ?)" }
            try connection.query(
                """
                SELECT chat_id, COUNT(*) FROM \(NumberedTable.messages.byNumber)
                WHERE \(places.joined(separator: " OR ")) GROUP BY chat_id
                """,
                some.flatMap { chat -> [MySQLValue] in
                    let (after, last) = chat.tail ?? (0, 0)
                    return [.integer(chat.chat), .integer(after), .integer(last)]
                }
            ) { row in
                rows[row.integer(0)] = row.integer(1)
                return true
            }
        }
        var found = Found()
        for chat in chats {
            let uncounted = rows[chat.chat] ?? 0
            found.uncounted.append(
                ChatCount(chat: chat.chat, counted: chat.counted, voids: chat.voids, uncounted: uncounted))
            if chat.isWhole || chat.voids == 0 {
                found.messages[chat.chat] = chat.dense + uncounted - chat.voids
            } else if let known = voids[chat.chat], known.all >= chat.voids {
                found.messages[chat.chat] = chat.dense + uncounted - known.seen
            } else {
                found.unknown.append(chat)
            }
        }
        return found
    }

    /// How many void numbers of each chat are recorded, and how many of them are there for the user.
    private static func runs(
        of chats: [VisibleCount], _ connection: isolated MySQLConnection
    ) throws -> [Int64: (all: Int64, seen: Int64)] {
        let numbers = Dictionary(chats.map { ($0.chat, $0.numbers) }) { first, _ in first }
        var sums: [Int64: (all: Int64, seen: Int64)] = [:]
        for some in chats.map(\.chat).chunks(of: statementPlaces).map(\.padded) {
            try connection.query(
                """
                SELECT chat_id, first_number, last_number FROM message_voids
                WHERE chat_id IN (\(some.map { _ in "?" }.joined(separator: ", ")))
                """, some.map { .integer($0) }
            ) { row in
                let (chat, first, last) = (row.integer(0), row.integer(1), row.integer(2))
                let span = numbers[chat] ?? .all
                var sum = sums[chat] ?? (0, 0)
                sum.all += last - first + 1
                sum.seen += max(0, min(last, span.last) - max(first, span.first) + 1)
                sums[chat] = sum
                return true
            }
        }
        return sums
    }

    /// Counts the rows one by one.
    func scan(_ connection: isolated MySQLConnection) throws -> Int64 {
        try connection.first(
            """
            SELECT COUNT(*) FROM \(NumberedTable.messages.byNumber)
            WHERE chat_id = ? AND number >= ? AND number <= ? AND batch_id >= 0
            """, [.integer(chat), .integer(numbers.first), .integer(numbers.last)]
        ) { $0.integer(0) } ?? 0
    }

    /// Records numbers whose void rows the same transaction has stored.
    ///
    /// - Parameter numbers: by chat, ascending.
    static func record(_ numbers: [Int64: [Int64]], _ connection: isolated MySQLConnection) throws {
        let runs = numbers.sorted { $0.key < $1.key }.flatMap { chat, numbers in
            numbers.runs.map { (chat: chat, run: $0) }
        }
        for some in runs.statements(within: connection.facts.maxPacket) {
            try connection.execute(
                """
                INSERT INTO message_voids (chat_id, first_number, last_number)
                VALUES \(some.map { _ in "(?, ?, ?)" }.joined(separator: ", "))
                ON DUPLICATE KEY UPDATE last_number = GREATEST(last_number, VALUES(last_number))
                """,
                some.flatMap { [.integer($0.chat), .integer($0.run.lowerBound), .integer($0.run.upperBound)] })
        }
    }
}

extension MySQLStore {
    /// How long one chat may be counted row by row.
    private static let longestScan = Duration.seconds(5)

    /// The counts of some chats, however they are found.
    func messages(_ found: VisibleCount.Found) async throws -> [Int64: Int64] {
        for count in found.uncounted { counting.advance(count, self) }
        var messages = found.messages
        for chat in found.unknown {
            messages[chat.chat] = try await scan(within: Self.longestScan, limit: Self.longestScan) {
                try chat.scan($0)
            }
        }
        return messages
    }

    func messageCount(of chat: Chat.ID, in numbers: NumberSpan) async throws -> Int64 {
        let found = try await read(.chatMessageCount) { connection in
            let row = try connection.first(
                "SELECT counted_number, void_count FROM chats WHERE id = ?", [.integer(chat.rawValue)]
            ) {
                VisibleCount(chat: chat.rawValue, counted: $0.integer(0), voids: $0.integer(1), numbers: numbers)
            }
            return try VisibleCount.find([row].compactMap(\.self), connection)
        }
        return try await messages(found)[chat.rawValue] ?? 0
    }
}
