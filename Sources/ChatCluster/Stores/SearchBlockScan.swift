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

    init(of chat: Chat.ID, for needle: SearchNeedle, upwards: Bool, isMariaDB: Bool) {
        self.chat = chat
        self.needle = needle
        self.filter = SearchBlockFilter(needle, isMariaDB: isMariaDB)
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
            SELECT first, last, numbers, \(filter.column) FROM search_blocks
            WHERE chat_id = ? AND first >= ? AND first <= ? AND last >= ? AND fold_version = ?
            ORDER BY first \(upwards ? "ASC" : "DESC") LIMIT ?
            """,
            filter.parameters + [
                .integer(chat.rawValue), .integer(start), .integer(numbers.upperBound), .integer(numbers.lowerBound),
                .integer(Int64(SearchFold.version)), .integer(Int64(limit)),
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

extension ScannedBlock {
    /// - Parameter column: that of `first`, before `last`, `numbers` and the filtered text.
    init(_ row: borrowing MySQLRow, from column: Int, for needle: SearchNeedle) {
        let span = row.integer(column)...max(row.integer(column), row.integer(column + 1))
        if row.isNull(column + 3) {
            self.init(span: span, candidates: [])
        } else {
            self.init(span: span, numbers: row.bytes(column + 2), folded: row.bytes(column + 3), for: needle)
        }
    }
}
