package import ChatCore
import GRDB

/// A sweep visits the chats that have changed since the last one (`ChangedChats`); a reader's first one here compares the
/// last numbers of all chats with the reader's cursors, in the file. So creates store nothing for readers.
extension SQLiteStore: LogReaders {
    /// Chats per page.
    private static let sweptAtOnce = 256
    /// Changed chats per page.
    private static let changedAtOnce = 4096

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
                let left = try write { db in try some.filter { try !Self.advance(reader, $0, db) } }
                // Another sweep has moved them, maybe less far: the next one looks at them again.
                for (chat, tenant) in try await tenants(of: left.map(\.chat)) { changed.see(chat, of: tenant) }
            }.value
        }
    }

    private static func advance(_ reader: LogReader.Name, _ move: LogMove, _ db: Database) throws -> Bool {
        let place: [Query.Value] = [.text(reader.text), .integer(move.chat.rawValue)]
        let stored = try Query(
            db, "SELECT number FROM log_cursors WHERE reader = ? AND chat_id = ?", place[0], place[1])
        guard try (stored.next() ? stored.integer(0) : 0) == move.old else { return false }
        try Query(
            db,
            "INSERT OR REPLACE INTO log_cursors (reader, chat_id, number) SELECT ?, id, ? FROM chats WHERE id = ?",
            place[0], .integer(move.new), place[1]
        ).run()
        // Not if the chat is gone.
        return db.changesCount == 1
    }

    package func beginSweep(of reader: LogReader.Name) async throws -> LogSweep { changed.beginSweep(of: reader) }

    package func nextChats(of sweep: inout LogSweep) async throws -> [Chat.ID]? {
        guard var place = sweep.place else { return nil }
        if !sweep.isWalk {
            if let chats = changed.next(of: &sweep, limit: Self.changedAtOnce) { return chats }
            (sweep.isWalk, place) = (true, 0)
        }
        let reader = sweep.reader.text
        let chats = try read(.logReaders) { db in
            let query = try Query(
                db,
                """
                SELECT id FROM chats
                LEFT JOIN log_cursors AS cursors ON cursors.reader = ? AND cursors.chat_id = id
                LEFT JOIN log_cursors AS changes ON changes.reader = ? AND changes.chat_id = id
                LEFT JOIN chat_heads AS heads ON heads.chat_id = id
                WHERE id > ? AND (
                    last_message_number > IFNULL(cursors.number, 0) OR revision > IFNULL(changes.number, 0))
                ORDER BY id LIMIT \(Self.sweptAtOnce)
                """, .text(reader), .text(reader + "-changes"), .integer(place))
            var chats: [Chat.ID] = []
            while try query.next() { chats.append(Chat.ID(query.integer(0))) }
            return chats
        }
        sweep.place = chats.count < Self.sweptAtOnce ? nil : chats.last?.rawValue
        return chats
    }

    package func finish(_ sweep: LogSweep) async throws { changed.finish(sweep) }
}
