package import ChatCore
import GRDB

/// Each sweep compares the last numbers of all chats with the reader's cursors, in the file. So creates pay nothing for
/// readers; a reader in this process learns of new messages from the bus.
extension SQLiteStore: LogReaders {
    /// Chats per page.
    private static let sweptAtOnce = 256

    package func cursors(of reader: LogReader.Name, in chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try read(.logReaders) { db in
            let query = try Query(db, "SELECT number FROM log_cursors WHERE reader = ? AND chat_id = ?")
            var cursors: [Chat.ID: Int64] = [:]
            for chat in chats {
                try query.rebind(.text(reader.text), .integer(chat.rawValue))
                if try query.next() { cursors[chat] = query.integer(0) }
            }
            return cursors
        }
    }

    /// Cursors that one transaction moves, while creates wait.
    private static let movedAtOnce = 256

    package func advance(
        _ reader: LogReader.Name, in chat: Chat.ID, from old: Int64, to new: Int64
    ) async throws -> Bool {
        try await Task(executorPreference: writeThread) {
            try write { try Self.advance(reader, LogMove(chat, from: old, to: new), $0) }
        }.value
    }

    package func advance(_ reader: LogReader.Name, _ moves: [LogMove]) async throws {
        for some in moves.chunks(of: Self.movedAtOnce) {
            try await Task(executorPreference: writeThread) {
                try write { db in for move in some { _ = try Self.advance(reader, move, db) } }
            }.value
        }
    }

    private static func advance(_ reader: LogReader.Name, _ move: LogMove, _ db: Database) throws -> Bool {
        let place: [Query.Value] = [.text(reader.text), .integer(move.chat.rawValue)]
        let stored = try Query(
            db, "SELECT number FROM log_cursors WHERE reader = ? AND chat_id = ?", place[0], place[1])
        guard try (stored.next() ? stored.integer(0) : 0) == move.old else { return false }
        try Query(
            db, "INSERT OR REPLACE INTO log_cursors (reader, chat_id, number) VALUES (?, ?, ?)", place[0],
            place[1], .integer(move.new)
        ).run()
        return true
    }

    package func beginSweep(of reader: LogReader.Name) async throws -> LogSweep { LogSweep(of: reader) }

    package func nextChats(of sweep: inout LogSweep) async throws -> [Chat.ID]? {
        guard let place = sweep.place else { return nil }
        let reader = sweep.reader.text
        let chats = try read(.logReaders) { db in
            let query = try Query(
                db,
                """
                SELECT id FROM chats LEFT JOIN log_cursors AS cursors ON reader = ? AND chat_id = id
                WHERE id > ? AND last_message_number > IFNULL(cursors.number, 0)
                ORDER BY id LIMIT \(Self.sweptAtOnce)
                """, .text(reader), .integer(place))
            var chats: [Chat.ID] = []
            while try query.next() { chats.append(Chat.ID(query.integer(0))) }
            return chats
        }
        sweep.place = chats.count < Self.sweptAtOnce ? nil : chats.last?.rawValue
        return chats
    }

    /// Nothing to do: the cursors are enough.
    package func finish(_ sweep: LogSweep) async throws {}
}
