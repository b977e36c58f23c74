import ChatCore
import MySQLClient

/// A transaction that changes a chat's blocks locks the chat's head first, and so waits for others that do.
extension MySQLStore: SearchIndex {
    /// A block of so many takes about as much space as two of their rows, and is searched ten times as fast.
    var smallestTail: Int { 4 }

    /// Blocks that one transaction drops.
    private static let droppedAtOnce = 64

    /// The chats of the last changes. What a worker misses because it is away for longer, the walk at its start finds.
    func changedChats() async throws -> [Chat.ID] {
        var place = try await recentChanges.start(at: read(.searchIndex) { try LogChanges.now($0) })
        while true {
            let changes = try await read(.searchIndex) { [place] in try LogChanges(from: place, $0) }
            recentChanges.see(changes.chats)
            if changes.isAtEnd { return recentChanges.chats.map { Chat.ID($0) } }
            place = changes.last
        }
    }

    func chats(below id: Chat.ID?, limit: Int) async throws -> [Chat.ID] {
        try await read(.searchIndex) { connection in
            try connection.rows(
                "SELECT id FROM chats WHERE id < ? ORDER BY id DESC LIMIT ?",
                [.integer(id?.rawValue ?? .max), .integer(Int64(limit))]
            ) { Chat.ID($0.integer(0)) }
        }
    }

    func heads(of chats: [Chat.ID]) async throws -> [Chat.ID: SearchHead] {
        try await read(.searchIndex) { connection in
            var heads: [Chat.ID: SearchHead] = [:]
            for some in chats.chunks(of: 256).map(\.padded) {
                try connection.query(
                    """
                    SELECT indexed_to, edits, chat_id FROM search_heads
                    WHERE chat_id IN (\(some.map { _ in "?" }.joined(separator: ", ")))
                    """, some.map { .integer($0.rawValue) }
                ) { row in
                    heads[Chat.ID(row.integer(2))] = Self.head(row)
                    return true
                }
            }
            return heads
        }
    }

    func coverage(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try await read(.searchIndex) { connection in
            var covered: [Chat.ID: Int64] = [:]
            for some in chats.chunks(of: 256).map(\.padded) {
                try connection.query(
                    """
                    SELECT chat_id, SUM(last - first + 1) FROM search_blocks
                    WHERE chat_id IN (\(some.map { _ in "?" }.joined(separator: ", "))) AND fold_version = ?
                    GROUP BY chat_id
                    """, some.map { .integer($0.rawValue) } + [.integer(SearchBlock.version)]
                ) { row in
                    covered[Chat.ID(row.integer(0))] = row.integer(1)
                    return true
                }
            }
            return covered
        }
    }

    func outlines(of chat: Chat.ID, after number: Int64, limit: Int) async throws -> [SearchBlockOutline] {
        try await read(.searchIndex) { connection in
            try connection.rows(
                """
                SELECT first, last, count, LENGTH(numbers) + LENGTH(times) + LENGTH(folded),
                    application_id = (SELECT application_id FROM chats WHERE id = chat_id)
                FROM search_blocks
                WHERE chat_id = ? AND first >= ? AND last > ? AND fold_version = ? ORDER BY first LIMIT ?
                """,
                [
                    .integer(chat.rawValue), .integer(try Self.firstBlock(covering: number, of: chat, connection)),
                    .integer(number), .integer(SearchBlock.version), .integer(Int64(limit)),
                ]
            ) { row in
                SearchBlockOutline(
                    span: row.integer(0)...max(row.integer(0), row.integer(1)), count: Int(row.integer(2)),
                    bytes: Int(row.integer(3)), isOwn: row.integer(4) == 1)
            }
        }
    }

    func block(of chat: Chat.ID, at first: Int64) async throws -> SearchBlock? {
        try await read(.searchIndex) { connection in
            try connection.first(
                """
                SELECT last, count, oldest_at, newest_at, numbers, times, folded FROM search_blocks
                WHERE chat_id = ? AND first = ? AND fold_version = ?
                """, [.integer(chat.rawValue), .integer(first), .integer(SearchBlock.version)]
            ) { row in
                SearchBlock(
                    chat: chat, span: first...max(first, row.integer(0)), count: Int(row.integer(1)),
                    oldestAt: Timestamp(microseconds: row.timestamp(2)),
                    newestAt: Timestamp(microseconds: row.timestamp(3)), numbers: Array(row.bytes(4)),
                    times: Array(row.bytes(5)), folded: Array(row.bytes(6)))
            }
        }
    }

    func store(_ block: SearchBlock, at head: SearchHead) async throws -> Bool {
        try await write { connection in
            // The rows of a block that the server does not take are searched one by one.
            let size =
                StatementSize.fixed
                + StatementSize.row(block.numbers.count + block.times.count + block.folded.count)
            guard size <= connection.facts.maxPacket else { return false }
            return try connection.transaction { connection in
                guard try Self.lockHead(of: block.chat, connection) == head else { return false }
                return try Self.store(block, above: head, connection)
            }
        }
    }

    private static func store(
        _ block: SearchBlock, above head: SearchHead, _ connection: isolated MySQLConnection
    ) throws -> Bool {
        let (chat, span) = (MySQLValue.integer(block.chat.rawValue), block.span)
        try connection.execute(
            "DELETE FROM search_blocks WHERE chat_id = ? AND first >= ? AND first <= ? AND last >= ?",
            [
                chat, .integer(try firstBlock(covering: span.lowerBound, of: block.chat, connection)),
                .integer(span.upperBound), .integer(span.lowerBound),
            ])
        let stored = try connection.execute(
            """
            INSERT INTO search_blocks (
                chat_id, first, last, application_id, fold_version, count, oldest_at, newest_at, numbers, times, folded
            ) SELECT id, ?, ?, application_id, ?, ?, ?, ?, ?, ?, ? FROM chats WHERE id = ?
            """,
            [
                .integer(span.lowerBound), .integer(span.upperBound), .integer(SearchBlock.version),
                .integer(Int64(block.count)), .timestamp(block.oldestAt.microseconds),
                .timestamp(block.newestAt.microseconds), .bytes(block.numbers), .bytes(block.times),
                .bytes(block.folded), chat,
            ])
        guard stored.affectedRows == 1 else { return false }
        if span.upperBound > head.indexedTo {
            try connection.execute(
                "UPDATE search_heads SET indexed_to = ? WHERE chat_id = ?", [.integer(span.upperBound), chat])
        }
        return true
    }

    func dropBlocks(of chat: Chat.ID) async throws -> Bool {
        try await write { connection in
            try connection.transaction { connection in
                try connection.execute(
                    "UPDATE search_heads SET indexed_to = 0, edits = edits + 1 WHERE chat_id = ?",
                    [.integer(chat.rawValue)])
                let dropped = try connection.execute(
                    "DELETE FROM search_blocks WHERE chat_id = ? ORDER BY first LIMIT \(Self.droppedAtOnce)",
                    [.integer(chat.rawValue)])
                return dropped.affectedRows == Self.droppedAtOnce
            }
        }
    }

    func searchStatus() async throws -> SearchStatus {
        try await scan(.searchIndex, within: .seconds(60)) { connection in
            try connection.first(
                """
                SELECT COUNT(*), CAST(IFNULL(SUM(count), 0) AS SIGNED),
                    (SELECT CAST(IFNULL(SUM(messages), 0) AS SIGNED) FROM application_counts),
                    CAST(IFNULL(SUM(LENGTH(numbers) + LENGTH(times) + LENGTH(folded)), 0) AS SIGNED)
                FROM search_blocks WHERE fold_version = ?
                """, [.integer(SearchBlock.version)]
            ) { row in
                SearchStatus(
                    blocks: row.integer(0), indexed: row.integer(1), messages: row.integer(2), bytes: row.integer(3))
            } ?? SearchStatus(blocks: 0, indexed: 0, messages: 0, bytes: 0)
        }
    }

    /// Messages whose blocks are looked for by one statement.
    private static let coveredAtOnce = 16

    /// Drops the blocks that cover messages which the same transaction changes, and marks the chats as changed.
    static func dropBlocks(
        covering keys: [MessageLookups.Key], _ connection: isolated MySQLConnection
    ) throws {
        for some in Set(keys.map(\.chat.rawValue)).sorted().statements(within: connection.facts.maxPacket) {
            try connection.execute(
                """
                INSERT INTO search_heads (chat_id, indexed_to, edits)
                VALUES \(some.map { _ in "(?, 0, 1)" }.joined(separator: ", "))
                ON DUPLICATE KEY UPDATE edits = edits + 1
                """, some.map { .integer($0) })
        }
        for some in keys.sorted().chunks(of: coveredAtOnce).map(\.padded) {
            // A locking read: the snapshot of a transaction that has read before may be older than the block.
            let part = """
                (SELECT chat_id, first, last FROM search_blocks WHERE chat_id = ? AND first <= ?
                ORDER BY first DESC LIMIT 1 FOR UPDATE)
                """
            let blocks = try connection.rows(
                some.map { _ in part }.joined(separator: " UNION ALL "),
                some.flatMap { [.integer($0.chat.rawValue), .integer($0.number.rawValue)] }
            ) { row in (chat: row.integer(0), span: row.integer(1)...max(row.integer(1), row.integer(2))) }
            let covering = blocks.filter { block in
                some.contains { $0.chat.rawValue == block.chat && block.span.contains($0.number.rawValue) }
            }
            guard !covering.isEmpty else { continue }
            let places = covering.padded
            try connection.execute(
                """
                DELETE search_blocks FROM search_blocks FORCE INDEX (PRIMARY)
                WHERE \(places.map { _ in "(chat_id = ? AND first = ?)" }.joined(separator: " OR "))
                """, places.flatMap { [.integer($0.chat), .integer($0.span.lowerBound)] })
        }
    }

    /// The beginning of the last block that begins at a number or before it, whether or not it reaches it; the number if
    /// there is none.
    static func firstBlock(
        covering number: Int64, of chat: Chat.ID, _ connection: isolated MySQLConnection
    ) throws -> Int64 {
        try connection.first(
            "SELECT first FROM search_blocks WHERE chat_id = ? AND first <= ? ORDER BY first DESC LIMIT 1",
            [.integer(chat.rawValue), .integer(number)]
        ) { $0.integer(0) } ?? number
    }

    /// - Returns: nil if the chat is gone.
    private static func lockHead(of chat: Chat.ID, _ connection: isolated MySQLConnection) throws -> SearchHead? {
        func lock() throws -> SearchHead? {
            try connection.first(
                "SELECT indexed_to, edits FROM search_heads WHERE chat_id = ? FOR UPDATE", [.integer(chat.rawValue)],
                head)
        }
        if let head = try lock() { return head }
        try connection.execute(
            "INSERT IGNORE INTO search_heads (chat_id, indexed_to, edits) SELECT id, 0, 0 FROM chats WHERE id = ?",
            [.integer(chat.rawValue)])
        return try lock()
    }

    private static func head(_ row: borrowing MySQLRow) -> SearchHead {
        SearchHead(indexedTo: row.integer(0), edits: row.integer(1))
    }
}
