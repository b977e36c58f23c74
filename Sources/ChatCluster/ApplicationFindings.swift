import ChatCore
import MySQLClient

/// What a walk through one application found, within one snapshot.
struct ApplicationFindings: Sendable {
    /// Chats a statement.
    private static let chatPage = 500

    private(set) var chats: Int64 = 0
    private(set) var messages: Int64 = 0
    private(set) var problems: [String] = []
    private(set) var holes: [Hole] = []
    private(set) var corrections: [Correction] = []

    private struct ChatRow {
        let id: Int64
        let number: Int64
        let counted: Int64
        let voids: Int64
        let isVoid: Bool
    }

    /// The messages of one chat: how many rows, the ends, how many of them void.
    private struct Rows {
        var count: Int64 = 0
        var lowest: Int64 = 0
        var highest: Int64 = 0
        var voids: Int64 = 0

        var isDense: Bool { count == highest && (count == 0 || lowest == 1) }
    }

    init(_ id: Int64, _ name: String, _ connection: isolated MySQLConnection) throws {
        problems += try connection.rows(
            "SELECT number FROM chats WHERE application_id = ? AND number < 1 ORDER BY number LIMIT 1000",
            [.integer(id)]
        ) { "\(name): chat \($0.integer(0)) is below 1" }
        var numbers = Gaps()
        while true {
            let page = try connection.rows(
                """
                SELECT id, number, counted_number, void_count, batch_id FROM chats
                WHERE application_id = ? AND number > ? ORDER BY number LIMIT \(Self.chatPage)
                """, [.integer(id), .integer(numbers.last)]
            ) { row in
                ChatRow(
                    id: row.integer(0), number: row.integer(1), counted: row.integer(2), voids: row.integer(3),
                    isVoid: row.integer(4) == BatchID.void)
            }
            if page.isEmpty { break }
            let rows = try Self.rows(of: page.map(\.id), connection)
            for chat in page {
                numbers.see(chat.number)
                if !chat.isVoid { chats += 1 }
                try verify(chat, rows[chat.id] ?? Rows(), "\(name): chat \(chat.number)", connection)
            }
        }
        for number in numbers.missing {
            holes.append(Hole(place: OwnedNumber(owner: id, number: number), isMessage: false, name: "\(name): chat"))
        }
        try verifyCounts(id, name, connection)
    }

    private static func rows(of chats: [Int64], _ connection: isolated MySQLConnection) throws -> [Int64: Rows] {
        var rows: [Int64: Rows] = [:]
        try connection.query(
            """
            SELECT chat_id, COUNT(*), MIN(number), MAX(number), CAST(SUM(batch_id = \(BatchID.void)) AS SIGNED)
            FROM messages WHERE chat_id IN (\(chats.map { _ in "?" }.joined(separator: ", "))) GROUP BY chat_id
            """, chats.map { .integer($0) }
        ) { row in
            rows[row.integer(0)] = Rows(
                count: row.integer(1), lowest: row.integer(2), highest: row.integer(3), voids: row.integer(4))
            return true
        }
        return rows
    }

    private mutating func verify(
        _ chat: ChatRow, _ rows: Rows, _ name: String, _ connection: isolated MySQLConnection
    ) throws {
        messages += rows.count - rows.voids
        if rows.lowest < 0 || rows.count > 0 && rows.lowest == 0 {
            problems.append("\(name): message \(rows.lowest) is below 1")
        }
        var firstMissing = rows.highest + 1
        if !rows.isDense {
            var numbers = Gaps()
            try connection.query(
                "SELECT number FROM messages WHERE chat_id = ? AND number > 0 ORDER BY number", [.integer(chat.id)]
            ) { row in
                numbers.see(row.integer(0))
                return true
            }
            firstMissing = numbers.missing.first ?? firstMissing
            for number in numbers.missing {
                holes.append(
                    Hole(place: OwnedNumber(owner: chat.id, number: number), isMessage: true, name: "\(name): message"))
            }
        }
        if chat.voids != rows.voids {
            corrections.append(
                Correction(
                    problem: "\(name): void_count is \(chat.voids), but the rows say \(rows.voids)",
                    statements: [
                        (
                            "UPDATE chats SET void_count = void_count + ? WHERE id = ?",
                            [.integer(rows.voids - chat.voids), .integer(chat.id)]
                        )
                    ]))
        }
        if chat.counted >= firstMissing {
            corrections.append(
                Correction(
                    problem: "\(name): counted_number is \(chat.counted), but message \(firstMissing) is not there",
                    statements: [
                        (
                            "UPDATE chats SET counted_number = ? WHERE id = ?",
                            [.integer(firstMissing - 1), .integer(chat.id)]
                        )
                    ]))
        }
    }

    private mutating func verifyCounts(
        _ id: Int64, _ name: String, _ connection: isolated MySQLConnection
    ) throws {
        let stored: [Int64] =
            try connection.first(
                """
                SELECT CAST(IFNULL(SUM(chats), 0) AS SIGNED), CAST(IFNULL(SUM(messages), 0) AS SIGNED)
                FROM application_counts WHERE application_id = ?
                """, [.integer(id)]
            ) { row -> [Int64] in [row.integer(0), row.integer(1)] } ?? [0, 0]
        for (column, stored, counted) in [("chats", stored[0], chats), ("messages", stored[1], messages)]
        where stored != counted {
            corrections.append(
                Correction(
                    problem: "\(name): the count of \(column) is \(stored), but the rows say \(counted)",
                    statements: [
                        (
                            """
                            INSERT INTO application_counts (application_id, stripe, \(column)) VALUES (?, 0, ?)
                            ON DUPLICATE KEY UPDATE \(column) = \(column) + VALUES(\(column))
                            """, [.integer(id), .integer(counted - stored)]
                        )
                    ]))
        }
    }
}

/// The numbers that ascending ones leave out.
struct Gaps {
    /// How many are kept; where there are more, mending takes more than one run.
    private static let kept = 100_000

    private(set) var last: Int64 = 0
    private(set) var missing: [Int64] = []

    mutating func see(_ number: Int64) {
        if number > last + 1 { missing += (last + 1..<number).prefix(max(0, Self.kept - missing.count)) }
        last = number
    }
}
