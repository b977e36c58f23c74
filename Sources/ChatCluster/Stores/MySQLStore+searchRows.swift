import ChatCore
import MySQLClient

/// Searches across a tenant: the rows that are in no block.
extension MySQLStore {
    /// Chats, and holes in their blocks, per statement.
    private static let chatsAtOnce = 1024
    private static let holesAtOnce = 64
    /// A longer hole is walked by itself.
    private static let shortHole = 256
    /// Chats that are read as a whole, per statement: several times as fast as holes.
    private static let wholeAtOnce = 256

    /// Numbers of a chat that no block covers.
    struct Hole {
        let chat: Int64
        let numbers: ClosedRange<Int64>
        /// Whether they are all of the chat's.
        var isWhole = false

        var isShort: Bool { numbers.count <= shortHole }
    }

    func searchRows(
        of tenant: Tenant.ID, _ search: inout TenantSearchWalk, _ connection: isolated MySQLConnection
    ) throws {
        guard let first = search.firstChat else { return }
        var spans: [Int64: [ClosedRange<Int64>]] = [:]
        if search.needle != nil {
            try connection.query(
                "SELECT chat_id, first, last FROM search_blocks WHERE application_id = ? AND fold_version = ?",
                [.integer(tenant.rawValue), .integer(SearchBlock.version)]
            ) { row in
                spans[row.integer(0), default: []].append(row.integer(1)...max(row.integer(1), row.integer(2)))
                try search.count(bytes: SearchWalk.row)
                return true
            }
        }
        var number = first.rawValue - 1
        while true {
            let chats = try connection.rows(
                """
                SELECT id, number, (
                    SELECT number FROM \(NumberedTable.messages.byNumber)
                    WHERE chat_id = chats.id AND number <= \(NumberedTable.lastNumber) ORDER BY number DESC LIMIT 1)
                FROM \(NumberedTable.chats.byNumber) WHERE application_id = ? AND number > ?
                ORDER BY number LIMIT \(Self.chatsAtOnce)
                """, [.integer(tenant.rawValue), .integer(number)]
            ) { (id: $0.integer(0), number: Chat.Number($0.integer(1)), last: $0.integer(2)) }
            try search.count(bytes: chats.count * SearchWalk.row)
            var short: [Hole] = []
            for chat in chats {
                let holes = (spans[chat.id] ?? []).gaps(upTo: chat.last).compactMap {
                    search.left(of: chat.number).flatMap($0.from)
                }.map { Hole(chat: chat.id, numbers: $0, isWhole: $0 == 1...chat.last) }
                if holes.allSatisfy(\.isShort) {
                    short += holes
                    if short.count < Self.wholeAtOnce { continue }
                }
                try read(short, &search, connection)
                short = []
                if holes.allSatisfy(\.isShort) {
                    search.pass(chat.number)
                    continue
                }
                for hole in holes { try walk(hole, of: chat.number, &search, connection) }
                search.pass(chat.number)
            }
            try read(short, &search, connection)
            guard let last = chats.last else { return }
            search.pass(last.number)
            if chats.count < Self.chatsAtOnce { return }
            number = last.number.rawValue
        }
    }

    /// Searches the rows of short holes.
    func read(_ holes: [Hole], _ search: inout TenantSearchWalk, _ connection: isolated MySQLConnection) throws {
        for some in holes.filter(\.isWhole).chunks(of: Self.wholeAtOnce) {
            let chats = some.map(\.chat).padded
            try read(
                where: "chat_id IN (\(chats.map { _ in "?" }.joined(separator: ", ")))", chats.map { .integer($0) },
                &search, connection)
        }
        for some in holes.filter({ !$0.isWhole }).chunks(of: Self.holesAtOnce) {
            let padded = Array(some).padded
            try read(
                where: padded.map { _ in "(chat_id = ? AND number >= ? AND number <= ?)" }.joined(separator: " OR "),
                padded.flatMap {
                    [.integer($0.chat), .integer($0.numbers.lowerBound), .integer($0.numbers.upperBound)]
                }, &search, connection)
        }
    }

    private func read(
        where condition: String, _ parameters: [MySQLValue], _ search: inout TenantSearchWalk,
        _ connection: isolated MySQLConnection
    ) throws {
        try connection.query(
            """
            SELECT \(MessageRow.columns), chat_id FROM \(NumberedTable.messages.byNumber)
            WHERE batch_id >= 0 AND (\(condition))
            """, parameters
        ) { row in
            let chat = Chat.ID(row.integer(MessageRow.columnCount))
            try search.see(MessageRow.body(row), in: chat) { MessageRow.message(row) }
            return true
        }
    }

    private func walk(
        _ hole: Hole, of number: Chat.Number, _ search: inout TenantSearchWalk, _ connection: isolated MySQLConnection
    ) throws {
        let chat = Chat.ID(hole.chat)
        var walk = self.walk(chat, Page(after: hole.numbers.lowerBound - 1, before: hole.numbers.upperBound + 1))
        var last = hole.numbers.lowerBound - 1
        do {
            try walk.run(limit: .max, connection) { row in
                last = row.integer(0)
                try search.see(MessageRow.body(row), in: chat) { MessageRow.message(row) }
                return true
            }
        } catch {
            // Whether the time is up here or in the server: so far it came.
            search.pass(number, upTo: last)
            throw error
        }
    }
}

extension ClosedRange<Int64> {
    /// The part from a number on; nil if there is none.
    fileprivate func from(_ range: PartialRangeFrom<Int64>) -> ClosedRange? {
        upperBound < range.lowerBound ? nil : Swift.max(lowerBound, range.lowerBound)...upperBound
    }
}

extension [ClosedRange<Int64>] {
    /// The numbers from 1 to `last` that none of these spans, which do not overlap, has.
    fileprivate func gaps(upTo last: Int64) -> [ClosedRange<Int64>] {
        var (gaps, next): ([ClosedRange<Int64>], Int64) = ([], 1)
        for span in sorted(by: { $0.lowerBound < $1.lowerBound }) where next <= last {
            if span.lowerBound > next { gaps.append(next...Swift.min(last, span.lowerBound - 1)) }
            next = Swift.max(next, span.upperBound + 1)
        }
        if next <= last { gaps.append(next...last) }
        return gaps
    }
}
