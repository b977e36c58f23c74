import ChatCore
import MySQLClient

extension MySQLStore {
    /// In one statement, and so in one snapshot.
    func entries(in chat: Chat.ID, after number: Int64, limit: StreamLimits.Size) async throws -> [LogEntry] {
        try await read { connection in
            var entries: [LogEntry] = []
            var bytes = 0
            try connection.query(
                """
                SELECT number, body, created_at, batch_id FROM \(NumberedTable.messages.byNumber)
                WHERE chat_id = ? AND number > ? ORDER BY number LIMIT ?
                """,
                [.integer(chat.rawValue), .integer(number), .integer(Int64(limit.messages))]
            ) { row in
                entries.append(Self.entry(row))
                bytes += row.bytes(1).count
                return bytes < limit.bytes
            }
            return entries
        }
    }

    func lastNumbers(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        let highest = try await read { [messageLog] connection in
            try messageLog.highestNumbers(of: chats.map(\.rawValue), connection)
        }
        return Dictionary(uniqueKeysWithValues: highest.map { (Chat.ID($0.key), $0.value) })
    }

    func tail(of chat: Chat.ID) async throws -> LogTail {
        try await read { connection in
            // The index alone says whether any is missing, which is seldom.
            let newest = try connection.first(
                """
                SELECT COUNT(*), MIN(number), MAX(number) FROM (
                    SELECT number FROM \(NumberedTable.messages.byNumber)
                    WHERE chat_id = ? ORDER BY number DESC LIMIT ?) AS newest
                """, [.integer(chat.rawValue), .integer(LogTail.depth)]
            ) { $0.isNull(2) ? nil : (count: $0.integer(0), lowest: $0.integer(1), highest: $0.integer(2)) }
            guard let newest = newest ?? nil else { return LogTail(upTo: 0) }
            let start = max(0, newest.highest - LogTail.depth)
            if newest.lowest == start + 1, newest.count == newest.highest - start {
                return LogTail(upTo: newest.highest)
            }
            let rows = try connection.rows(
                """
                SELECT number, created_at FROM \(NumberedTable.messages.byNumber)
                WHERE chat_id = ? AND number > ? ORDER BY number LIMIT ?
                """, [.integer(chat.rawValue), .integer(start), .integer(LogTail.depth)]
            ) { (number: $0.integer(0), createdAt: Timestamp(microseconds: $0.timestamp(1))) }
            return LogTail(after: start, rows: rows)
        }
    }

    func settle(_ numbers: ClosedRange<Int64>, in chat: Chat.ID) async throws {
        var retry = Retry(patience: messageLog.patience)
        while true {
            do throws(MySQLError) {
                return try await writes.run(within: retry.remaining) { connection in
                    try connection.transaction { connection in
                        let missing = try Self.missing(numbers, in: chat.rawValue, connection)
                        try Self.insert(voids: missing, at: WallClock.system.now(), connection)
                    }
                }
            } catch {
                if case .foreignKey = error.kind { throw ChatError.notFound }
                // A duplicate: one of the writers came first after all.
                guard await retry.mayGoOn(after: error) else { throw ChatError(driver: error) }
            }
        }
    }

    /// The numbers of a range that have no row.
    private static func missing(
        _ numbers: ClosedRange<Int64>, in chat: Int64, _ connection: isolated MySQLConnection
    ) throws -> [OwnedNumber] {
        let stored = Set(
            try connection.rows(
                """
                SELECT number FROM \(NumberedTable.messages.byNumber) WHERE chat_id = ? AND number >= ? AND number <= ?
                """, [.integer(chat), .integer(numbers.lowerBound), .integer(numbers.upperBound)]
            ) { $0.integer(0) })
        return numbers.filter { !stored.contains($0) }.map { OwnedNumber(owner: chat, number: $0) }
    }

    private static func entry(_ row: borrowing MySQLRow) -> LogEntry {
        let (number, time) = (Message.Number(row.integer(0)), Timestamp(microseconds: row.timestamp(2)))
        let message = Message(number: number, body: row.text(1), createdAt: time)
        return LogEntry(number: number, message: row.integer(3) == BatchID.void ? nil : message, createdAt: time)
    }
}
