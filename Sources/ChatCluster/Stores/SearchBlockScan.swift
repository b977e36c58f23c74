import ChatCore
import MySQLClient

/// Reads a chat's blocks in the direction of a page.
struct SearchBlockScan {
    /// Blocks in the first statement and in the last ones: a page of a frequent text is full after one or two blocks, and
    /// a statement of many takes a few milliseconds.
    static let first = 4
    static let most = 64

    private let chat: Chat.ID
    private let needle: SearchNeedle
    private let filter: SearchBlockFilter
    private let upwards: Bool
    /// No block that begins below is looked at; nil at the start.
    private var lowest: Int64?
    private var limit = first
    private var isAtEnd = false

    init(of chat: Chat.ID, _ query: SearchQuery, for needle: SearchNeedle, upwards: Bool, isMariaDB: Bool) {
        self.chat = chat
        self.needle = needle
        self.filter = SearchBlockFilter(query, needle, isMariaDB: isMariaDB)
        self.upwards = upwards
    }

    /// The next blocks that overlap some numbers, what is left of those of the last call; empty if there are none.
    mutating func next(
        _ numbers: ClosedRange<Int64>, _ connection: isolated MySQLConnection
    ) throws -> [ScannedBlock] {
        guard !isAtEnd else { return [] }
        let start = try lowest ?? MySQLStore.firstBlock(covering: numbers.lowerBound, of: chat, connection)
        var blocks: [ScannedBlock] = []
        try connection.query(
            """
            SELECT first, last, \(filter.columns) FROM search_blocks
            WHERE chat_id = ? AND first >= ? AND first <= ? AND last >= ? AND fold_version = ?
            ORDER BY first \(upwards ? "ASC" : "DESC") LIMIT ?
            """,
            filter.parameters + [
                .integer(chat.rawValue), .integer(start), .integer(numbers.upperBound), .integer(numbers.lowerBound),
                .integer(SearchBlock.version), .integer(Int64(limit)),
            ]
        ) { row in
            blocks.append(ScannedBlock(row, from: 0, for: needle))
            return true
        }
        isAtEnd = blocks.count < limit
        limit = min(limit * 4, Self.most)
        lowest = upwards ? blocks.last.map { $0.span.upperBound + 1 } : start
        return blocks
    }
}
