import ChatCore
import MySQLClient

/// The numbers of one owner's rows, seen in ascending order.
struct NumberFindings: Sendable {
    /// The most that is kept of each kind; the rest is repaired by later runs.
    private static let kept = 100_000

    private(set) var count: Int64 = 0
    private(set) var voids: Int64 = 0
    /// Numbers outside 1 to `NumberedTable.lastNumber`.
    private(set) var strays: [Int64] = []
    private(set) var strayCount: Int64 = 0
    /// Numbers missing between others.
    private(set) var gaps: [ClosedRange<Int64>] = []
    /// Runs of void numbers that are long enough for a record.
    private(set) var voidRuns: [ClosedRange<Int64>] = []
    private var last: Int64 = 0
    private var firstVoid: Int64?

    /// All numbers up to this one are stored.
    var complete: Int64 { gaps.first.map { $0.lowerBound - 1 } ?? last }

    mutating func see(_ number: Int64, isVoid: Bool) {
        count += 1
        if isVoid { voids += 1 }
        guard number > 0, number <= NumberedTable.lastNumber else {
            strayCount += 1
            if strays.count < Self.kept { strays.append(number) }
            return
        }
        if number > last + 1 {
            endVoids()
            if gaps.count < Self.kept { gaps.append(last + 1...number - 1) }
        }
        if isVoid { firstVoid = firstVoid ?? number } else { endVoids() }
        last = number
    }

    /// Call it after the last row.
    mutating func endVoids() {
        if let firstVoid, last - firstVoid + 1 >= VoidRuns.least { voidRuns.append(firstVoid...last) }
        firstVoid = nil
    }
}

/// A chat's stored counts and its rows, from one snapshot.
struct ChatFindings: Sendable {
    let id: Int64
    /// `counted_number` and `void_count`.
    let counted: Int64
    let voids: Int64
    var rows = NumberFindings()

    /// - Parameter ids: chats with few messages together, or a single chat.
    static func look(_ ids: [Int64], _ connection: isolated MySQLConnection) throws -> [ChatFindings] {
        let padded = ids.padded
        let marks = padded.map { _ in "?" }.joined(separator: ", ")
        var chats: [Int64: ChatFindings] = [:]
        try connection.query(
            "SELECT id, counted_number, void_count FROM chats WHERE id IN (\(marks))", padded.map { .integer($0) }
        ) { row in
            chats[row.integer(0)] = ChatFindings(id: row.integer(0), counted: row.integer(1), voids: row.integer(2))
            return true
        }
        if let only = ids.first, ids.count == 1 {
            try walk(only, connection) { number, isVoid in chats[only]?.rows.see(number, isVoid: isVoid) }
        } else {
            try connection.query(
                """
                SELECT chat_id, number, batch_id FROM \(NumberedTable.messages.byNumber)
                WHERE chat_id IN (\(marks)) ORDER BY chat_id, number
                """, padded.map { .integer($0) }
            ) { row in
                chats[row.integer(0)]?.rows.see(row.integer(1), isVoid: row.integer(2) == BatchID.void)
                return true
            }
        }
        return ids.compactMap { id in
            chats[id]?.rows.endVoids()
            return chats[id]
        }
    }

    /// Rows per statement.
    private static let part = 20_000

    private static func walk(
        _ chat: Int64, _ connection: isolated MySQLConnection, each: (_ number: Int64, _ isVoid: Bool) -> Void
    ) throws {
        var (next, seen) = (Int64.min, part)
        while seen == part {
            seen = 0
            try connection.query(
                """
                SELECT number, batch_id FROM \(NumberedTable.messages.byNumber)
                WHERE chat_id = ? AND number >= ? ORDER BY number LIMIT \(part)
                """, [.integer(chat), .integer(next)]
            ) { row in
                each(row.integer(0), row.integer(1) == BatchID.void)
                seen += 1
                next = max(row.integer(0), row.integer(0) &+ 1)
                return true
            }
        }
    }

    /// Counts that disagree with the rows.
    func corrections(_ name: String) -> [Correction] {
        var corrections: [Correction] = []
        if voids != rows.voids {
            corrections.append(
                Correction(
                    problem: "\(name): void_count is \(voids), but the rows say \(rows.voids)",
                    sql: "UPDATE chats SET void_count = void_count + ? WHERE id = ?",
                    parameters: [.integer(rows.voids - voids), .integer(id)]))
        }
        if counted > rows.complete {
            corrections.append(
                Correction(
                    problem: "\(name): counted_number is \(counted), but message \(rows.complete + 1) is missing",
                    sql: "UPDATE chats SET counted_number = ? WHERE id = ? AND counted_number = ?",
                    parameters: [.integer(rows.complete), .integer(id), .integer(counted)]))
        }
        return corrections
    }
}

/// Findings about an application's chats, from which its messages are counted without reading all rows again.
struct ApplicationFindings: Sendable {
    /// Chats per statement.
    private static let page = 1000
    private static let rowsAtOnce: Int64 = 20_000
    /// The most chats that are remembered; others are counted from their `counted_number` on.
    private static let kept = 1_000_000

    /// The number after which counting starts, and whether many rows follow.
    private struct Start: Sendable {
        let number: Int64
        let isLong: Bool
    }

    /// The chats whose `counted_number` is too high or far behind.
    private var starts: [Int64: Start] = [:]
    /// Messages with numbers below 1, which no chat's count includes.
    private var below: Int64 = 0
    /// The number of void rows above the sum of `void_count`.
    private var uncountedVoids: Int64 = 0

    /// - Parameter isMended: whether wrong counts have been repaired.
    mutating func see(_ chat: ChatFindings, isMended: Bool) {
        let (complete, isLong) = (chat.rows.complete, chat.rows.count - chat.rows.complete > 1024)
        if chat.counted > complete || complete - chat.counted > 256 || isLong, starts.count < Self.kept {
            starts[chat.id] = Start(number: complete, isLong: isLong)
        }
        if !isMended { uncountedVoids += chat.rows.voids - chat.voids }
    }

    mutating func see(messagesBelow count: Int64) { below += count }

    struct Counts: Sendable {
        var chats: Int64 = 0
        var messages: Int64 = 0
    }

    /// An application's stored counts and the counts of its rows. Call it within a snapshot.
    func count(
        _ application: Int64, _ connection: isolated MySQLConnection
    ) throws -> (stored: Counts, rows: Counts) {
        let stored = try connection.first(
            """
            SELECT CAST(IFNULL(SUM(chats), 0) AS SIGNED), CAST(IFNULL(SUM(messages), 0) AS SIGNED)
            FROM application_counts WHERE application_id = ?
            """, [.integer(application)]
        ) { Counts(chats: $0.integer(0), messages: $0.integer(1)) }
        var counts = Counts(messages: below - uncountedVoids)
        var (next, seen) = (Int64.min, Self.page)
        while seen == Self.page {
            let page = try connection.rows(
                """
                SELECT id, number, counted_number, void_count, batch_id FROM \(NumberedTable.chats.byNumber)
                WHERE application_id = ? AND number >= ? ORDER BY number LIMIT \(Self.page)
                """, [.integer(application), .integer(next)]
            ) { row in
                (
                    place: OwnedNumber(
                        owner: row.integer(0), number: starts[row.integer(0)]?.number ?? row.integer(2)),
                    next: row.integer(1) &+ 1, voids: row.integer(3), isVoid: row.integer(4) == BatchID.void
                )
            }
            seen = page.count
            next = page.last?.next ?? next
            let places = page.map(\.place)
            var uncounted = try ChatCount.messages(after: places.filter { !isLong($0.owner) }, connection)
            for place in places where isLong(place.owner) {
                uncounted[place.owner] = try Self.countInParts(place, connection)
            }
            for chat in page {
                if !chat.isVoid { counts.chats += 1 }
                counts.messages += chat.place.number - chat.voids + uncounted[chat.place.owner, default: 0]
            }
        }
        return (stored ?? Counts(), counts)
    }

    private func isLong(_ chat: Int64) -> Bool { starts[chat]?.isLong == true }

    /// Counts the rows after a number, a bounded number of them per statement.
    private static func countInParts(_ place: OwnedNumber, _ connection: isolated MySQLConnection) throws -> Int64 {
        var (count, last, isAtEnd): (Int64, Int64, Bool) = (0, place.number, false)
        while !isAtEnd {
            let part = try connection.first(
                """
                SELECT COUNT(*), MAX(number) FROM (
                    SELECT number FROM \(NumberedTable.messages.byNumber)
                    WHERE chat_id = ? AND number > ? ORDER BY number LIMIT \(rowsAtOnce)) AS part
                """, [.integer(place.owner), .integer(last)]
            ) { (count: $0.integer(0), last: $0.integer(1)) }
            count += part?.count ?? 0
            last = part?.last ?? last
            isAtEnd = part?.count != rowsAtOnce
        }
        return count
    }

    static func corrections(
        _ application: Int64, _ name: String, _ found: (stored: Counts, rows: Counts)
    ) -> [Correction] {
        [
            ("chats", found.stored.chats, found.rows.chats), ("messages", found.stored.messages, found.rows.messages),
        ].filter { $0.1 != $0.2 }.map { column, stored, counted in
            Correction(
                problem: "\(name): the count of \(column) is \(stored), but the rows say \(counted)",
                sql: """
                    INSERT INTO application_counts (application_id, stripe, \(column)) VALUES (?, 0, ?)
                    ON DUPLICATE KEY UPDATE \(column) = \(column) + VALUES(\(column))
                    """, parameters: [.integer(application), .integer(counted - stored)])
        }
    }
}

/// A count that disagrees with its rows, and the statement that repairs it.
struct Correction: Sendable {
    let problem: String
    let sql: String
    let parameters: [MySQLValue]
}
