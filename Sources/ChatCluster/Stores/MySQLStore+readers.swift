import ChatCore
import MySQLClient

/// A sweep follows `log_changes`. It visits all chats if the reader is new, or has been away for longer than changes
/// are kept. Rows of other programs (the Rails application) leave no change: they are delivered with the chat's next
/// message.
extension MySQLStore: LogReaders {
    /// The id of the row with the time of a reader's last sweep, in microseconds; no chat has this id.
    static let sweepRow = Chat.ID(0)
    /// A safety margin: changes that will be deleted within this time are not used any more, in microseconds.
    static let slack: Int64 = 600_000_000
    /// Chats per page.
    private static let sweptAtOnce = 256
    /// Cursors that one transaction moves.
    private static let movedAtOnce = 256

    func cursors(of reader: LogReader.Name, in chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try await read(.logReaders) { connection in
            var cursors: [Chat.ID: Int64] = [:]
            for some in chats.chunks(of: 256).map(\.padded) {
                let marks = some.map { _ in "?" }.joined(separator: ", ")
                try connection.query(
                    "SELECT chat_id, number FROM log_cursors WHERE reader = ? AND chat_id IN (\(marks))",
                    [.text(reader.text)] + some.map { .integer($0.rawValue) }
                ) { row in
                    cursors[Chat.ID(row.integer(0))] = row.integer(1)
                    return true
                }
            }
            return cursors
        }
    }

    func advance(_ reader: LogReader.Name, in chat: Chat.ID, from old: Int64, to new: Int64) async throws -> Bool {
        try await write { try Self.advance(reader, LogMove(chat, from: old, to: new), $0) }
    }

    func advance(_ reader: LogReader.Name, _ moves: [LogMove]) async throws {
        // In the order of the key, so that two processes do not wait for each other.
        for some in moves.sorted(by: { $0.chat.rawValue < $1.chat.rawValue }).chunks(of: Self.movedAtOnce) {
            try await write { connection in
                try connection.transaction { connection in
                    for move in some { _ = try Self.advance(reader, move, connection) }
                }
            }
        }
    }

    private static func advance(
        _ reader: LogReader.Name, _ move: LogMove, _ connection: isolated MySQLConnection
    ) throws -> Bool {
        let place = [MySQLValue.text(reader.text), .integer(move.chat.rawValue)]
        let moved = try connection.execute(
            "UPDATE log_cursors SET number = ? WHERE reader = ? AND chat_id = ? AND number = ?",
            [.integer(move.new)] + place + [.integer(move.old)])
        if moved.affectedRows == 1 || move.old != 0 { return moved.affectedRows == 1 }
        do throws(MySQLError) {
            try connection.execute(
                "INSERT INTO log_cursors (reader, chat_id, number) VALUES (?, ?, ?)", place + [.integer(move.new)])
            return true
        } catch {
            guard error.isDuplicate else { throw error }
            return false
        }
    }

    func beginSweep(of reader: LogReader.Name) async throws -> LogSweep {
        let now = try await read(.logReaders) { try LogChanges.now($0) }
        let last = try await cursors(of: reader, in: [Self.sweepRow])[Self.sweepRow] ?? 0
        // The database's clock may have been set back: do not wait for it.
        return LogSweep(of: reader, start: now, isWalk: false, place: max(0, min(last, now) - LogChanges.overlap))
    }

    func nextChats(of sweep: inout LogSweep) async throws -> [Chat.ID]? {
        guard var next = sweep.place else { return nil }
        if !sweep.isWalk {
            let kept = try await read(.logReaders) { try LogChanges.now($0) } - LogChanges.kept + Self.slack
            // The next changes may be deleted by now.
            if next < kept { (sweep.isWalk, next) = (true, 0) }
        }
        let place = next
        if sweep.isWalk {
            let chats = try await read(.logReaders) { connection in
                try connection.rows(
                    "SELECT id FROM chats WHERE id > ? ORDER BY id LIMIT \(Self.sweptAtOnce)", [.integer(place)]
                ) { Chat.ID($0.integer(0)) }
            }
            sweep.place = chats.count < Self.sweptAtOnce ? nil : chats.last?.rawValue
            return chats
        }
        let changes = try await read(.logReaders) { try LogChanges(from: place, $0) }
        sweep.place = changes.isAtEnd ? nil : changes.last
        return changes.chats.sorted().map { Chat.ID($0) }
    }

    func finish(_ sweep: LogSweep) async throws {
        try await write { connection in
            _ = try connection.execute(
                """
                INSERT INTO log_cursors (reader, chat_id, number) VALUES (?, ?, ?)
                ON DUPLICATE KEY UPDATE number = VALUES(number)
                """, [.text(sweep.reader.text), .integer(Self.sweepRow.rawValue), .integer(sweep.start)])
        }
    }

    func write<Result: Sendable>(
        _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        var retry = Retry(patience: messageLog.patience)
        while true {
            do throws(MySQLError) {
                return try await writes.run(within: retry.remaining, body)
            } catch {
                guard await retry.mayGoOn(after: error) else { throw ChatError(driver: error) }
            }
        }
    }
}
