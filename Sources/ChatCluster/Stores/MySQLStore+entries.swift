import ChatCore
import MySQLClient

extension MySQLStore {
    /// How many void rows at the end of a page start a look-up of their run.
    private static let manyVoids = 32

    /// One statement, and so one snapshot. A run of void numbers that is read later is true in that snapshot too.
    func entries(in chat: Chat.ID, after number: Int64, limit: StreamLimits.Size) async throws -> [LogEntry] {
        try await read(.entries) { connection in
            var entries: [LogEntry] = []
            var bytes = 0
            try connection.query(
                """
                SELECT \(MessageRow.columns) FROM \(NumberedTable.messages.byNumber)
                WHERE chat_id = ? AND number > ? AND number <= \(NumberedTable.lastNumber) ORDER BY number LIMIT ?
                """,
                [.integer(chat.rawValue), .integer(number), .integer(Int64(limit.messages))]
            ) { row in
                entries.append(MessageRow.entry(row))
                bytes += MessageRow.textsInJSON(row)
                return bytes < limit.bytes
            }
            guard let last = entries.last?.number.rawValue, entries.endsWithVoids(Self.manyVoids) else {
                return entries
            }
            if let run = try VoidRuns(table: .messages).run(at: last, of: chat.rawValue, connection) {
                if run.upperBound > last { entries.append(LogEntry(voids: last + 1...run.upperBound)) }
            } else {
                scout.explore(last, of: chat.rawValue, in: .messages, self)
            }
            return entries
        }
    }

    func lastNumbers(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        let highest = try await read(.lastNumbers) { [messageLog] connection in
            try messageLog.highestNumbers(of: chats.map(\.rawValue), connection)
        }
        return Dictionary(uniqueKeysWithValues: highest.map { (Chat.ID($0.key), $0.value) })
    }

    func tail(of chat: Chat.ID) async throws -> LogTail {
        try await read(.tail) { connection in
            // The index alone tells whether a number is missing, which is rare.
            let newest = try connection.first(
                """
                SELECT COUNT(*), MIN(number), MAX(number) FROM (
                    SELECT number FROM \(NumberedTable.messages.byNumber)
                    WHERE chat_id = ? AND number > 0 AND number <= \(NumberedTable.lastNumber)
                    ORDER BY number DESC LIMIT ?) AS newest
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
                WHERE chat_id = ? AND number > ? AND number <= \(NumberedTable.lastNumber) ORDER BY number LIMIT ?
                """, [.integer(chat.rawValue), .integer(start), .integer(LogTail.depth)]
            ) { (number: $0.integer(0), createdAt: Timestamp(microseconds: $0.timestamp(1))) }
            return LogTail(after: start, rows: rows)
        }
    }
}

extension [LogEntry] {
    /// Whether the last `count` entries are void.
    fileprivate func endsWithVoids(_ count: Int) -> Bool {
        self.count >= count && suffix(count).allSatisfy { $0.message == nil }
    }
}
