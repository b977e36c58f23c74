package import ChatCore
import GRDB

extension SQLiteStore: SearchIndex {
    /// A block of fewer would take more of its page than its rows do, and a million such rows are searched in half a second
    /// (docs/benchmarks.md).
    package var smallestTail: Int { 32 }

    /// Blocks that one transaction drops.
    private static let droppedAtOnce: Int64 = 64

    package func changedChats() async throws -> [Chat.ID] { changed.take() }

    package func chats(below id: Chat.ID?, limit: Int) async throws -> [Chat.ID] {
        try read(.searchIndex) { db in
            let query = try Query(
                db, "SELECT id FROM chats WHERE id < ? ORDER BY id DESC LIMIT ?", .integer(id?.rawValue ?? .max),
                .integer(Int64(limit)))
            var chats: [Chat.ID] = []
            while try query.next() { chats.append(Chat.ID(query.integer(0))) }
            return chats
        }
    }

    package func heads(of chats: [Chat.ID]) async throws -> [Chat.ID: SearchHead] {
        try read(.searchIndex) { db in
            let query = try Query(db, Self.selectHead)
            var heads: [Chat.ID: SearchHead] = [:]
            for chat in chats {
                try query.rebind(.integer(chat.rawValue))
                if try query.next() { heads[chat] = Self.head(query) }
            }
            return heads
        }
    }

    package func coverage(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try read(.searchIndex) { db in
            let query = try Query(
                db, "SELECT SUM(last - first + 1) FROM search_blocks WHERE chat_id = ? AND fold_version = ?")
            var covered: [Chat.ID: Int64] = [:]
            for chat in chats {
                try query.rebind(.integer(chat.rawValue), .integer(SearchBlock.version))
                if try query.next(), query.integer(0) > 0 { covered[chat] = query.integer(0) }
            }
            return covered
        }
    }

    package func outlines(
        of chat: Chat.ID, after number: Int64, limit: Int
    ) async throws -> [SearchBlockOutline] {
        try read(.searchIndex) { db in
            let query = try Query(
                db,
                """
                SELECT first, last, count, length(numbers) + length(times) + length(folded),
                    application_id = (SELECT application_id FROM chats WHERE id = chat_id)
                FROM search_blocks
                WHERE chat_id = ? AND first >= \(Self.firstCovering) AND last > ? AND fold_version = ?
                ORDER BY first LIMIT ?
                """,
                .integer(chat.rawValue), .integer(chat.rawValue), .integer(number), .integer(number),
                .integer(SearchBlock.version), .integer(Int64(limit)))
            var outlines: [SearchBlockOutline] = []
            while try query.next() {
                outlines.append(
                    SearchBlockOutline(
                        span: query.integer(0)...max(query.integer(0), query.integer(1)), count: Int(query.integer(2)),
                        bytes: Int(query.integer(3)), isOwn: query.integer(4) == 1))
            }
            return outlines
        }
    }

    package func block(of chat: Chat.ID, at first: Int64) async throws -> SearchBlock? {
        try read(.searchIndex) { db in
            let query = try Query(
                db,
                """
                SELECT last, count, oldest_at, newest_at, numbers, times, folded FROM search_blocks
                WHERE chat_id = ? AND first = ? AND fold_version = ?
                """, .integer(chat.rawValue), .integer(first), .integer(SearchBlock.version))
            guard try query.next() else { return nil }
            return SearchBlock(
                chat: chat, span: first...max(first, query.integer(0)), count: Int(query.integer(1)),
                oldestAt: Timestamp(microseconds: query.integer(2)),
                newestAt: Timestamp(microseconds: query.integer(3)), numbers: Array(query.bytes(4)),
                times: Array(query.bytes(5)), folded: Array(query.bytes(6)))
        }
    }

    package func store(_ block: SearchBlock, at head: SearchHead) async throws -> Bool {
        try await Task(executorPreference: writeThread) {
            // A block that a loss of power takes is made again: creates need not wait for its flush.
            try write(isFlushed: false) { db in
                let chat = block.chat.rawValue
                guard try Self.head(of: block.chat, db) == head else { return false }
                try Query(
                    db,
                    "DELETE FROM search_blocks WHERE chat_id = ? AND first >= \(Self.firstCovering) AND first <= ? AND last >= ?",
                    .integer(chat), .integer(chat), .integer(block.span.lowerBound), .integer(block.span.upperBound),
                    .integer(block.span.lowerBound)
                ).run()
                try Query(
                    db,
                    """
                    INSERT INTO search_blocks (
                        chat_id, first, last, application_id, fold_version, count, oldest_at, newest_at, numbers, times, folded
                    ) SELECT id, ?, ?, application_id, ?, ?, ?, ?, ?, ?, ? FROM chats WHERE id = ?
                    """,
                    .integer(block.span.lowerBound), .integer(block.span.upperBound),
                    .integer(SearchBlock.version), .integer(Int64(block.count)),
                    .integer(block.oldestAt.microseconds), .integer(block.newestAt.microseconds), .blob(block.numbers),
                    .blob(block.times), .blob(block.folded), .integer(chat)
                ).run()
                guard db.changesCount == 1 else { return false }
                try Self.putHead(
                    SearchHead(indexedTo: max(head.indexedTo, block.span.upperBound), edits: head.edits),
                    of: block.chat, db)
                return true
            }
        }.value
    }

    package func dropBlocks(of chat: Chat.ID) async throws -> Bool {
        try await Task(executorPreference: writeThread) {
            try write { db in
                try Query(
                    db,
                    """
                    DELETE FROM search_blocks WHERE id IN (
                        SELECT id FROM search_blocks WHERE chat_id = ? LIMIT \(Self.droppedAtOnce))
                    """, .integer(chat.rawValue)
                ).run()
                let dropped = db.changesCount
                let head = try Self.head(of: chat, db)
                if head != SearchHead() {
                    try Self.putHead(SearchHead(indexedTo: 0, edits: head.edits + 1), of: chat, db)
                }
                return dropped == Self.droppedAtOnce
            }
        }.value
    }

    package func searchStatus() async throws -> SearchStatus {
        try await scan { db in
            let row = try Row.fetchOne(
                db,
                sql: """
                    SELECT count(*), ifnull(sum(count), 0), ifnull(sum(length(numbers) + length(times) + length(folded)), 0),
                        (SELECT ifnull(sum(messages_count), 0) FROM applications)
                    FROM search_blocks WHERE fold_version = ?
                    """, arguments: [SearchBlock.version])
            return SearchStatus(
                blocks: row?[0] ?? 0, indexed: row?[1] ?? 0, messages: row?[3] ?? 0, bytes: row?[2] ?? 0)
        }
    }

    /// Drops the block that covers a message which the same transaction changes, and marks the chat as changed.
    static func dropBlock(covering number: Int64, of chat: Chat.ID, _ db: Database) throws {
        try Query(
            db,
            "DELETE FROM search_blocks WHERE chat_id = ? AND first = \(firstCovering) AND last >= ?",
            .integer(chat.rawValue), .integer(chat.rawValue), .integer(number), .integer(number)
        ).run()
        let head = try head(of: chat, db)
        try putHead(SearchHead(indexedTo: head.indexedTo, edits: head.edits + 1), of: chat, db)
    }

    /// The beginning of the last block that begins at a number or before it; arguments: the chat, the number.
    static let firstCovering = """
        ifnull((SELECT max(first) FROM search_blocks WHERE chat_id = ? AND first <= ?), 0)
        """

    private static let selectHead = "SELECT indexed_to, edits FROM search_heads WHERE chat_id = ?"

    private static func head(_ query: borrowing Query) -> SearchHead {
        SearchHead(indexedTo: query.integer(0), edits: query.integer(1))
    }

    private static func head(of chat: Chat.ID, _ db: Database) throws -> SearchHead {
        let query = try Query(db, selectHead, .integer(chat.rawValue))
        return try query.next() ? head(query) : SearchHead()
    }

    private static func putHead(_ head: SearchHead, of chat: Chat.ID, _ db: Database) throws {
        try Query(
            db, "INSERT OR REPLACE INTO search_heads (chat_id, indexed_to, edits) VALUES (?, ?, ?)",
            .integer(chat.rawValue), .integer(head.indexedTo), .integer(head.edits)
        ).run()
    }
}
