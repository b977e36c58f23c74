import ChatCore
import MySQLClient

/// Searches blocks, and rows where there are none, in one snapshot. The server tells which blocks may match; which
/// messages do is decided here, by the same code as in the embedded store, so that the same text gives the same result.
extension MySQLStore {
    func search(_ query: SearchQuery, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        // The wait for a free connection counts as well.
        let deadline = ContinuousClock.now + SearchWalk.deadline
        return try await snapshot { connection in
            try SearchWalk.page(page) { try matches(query, chat, $0, limit: $1, deadline, connection) }
        }
    }

    func snapshot<Result: Sendable>(
        _ operation: ReadObserver.Operation = .search, _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        // The server ends what the search no longer waits for, or what waits for a lock.
        try await scan(operation, within: SearchWalk.deadline, limit: SearchWalk.deadline) { connection in
            try Self.inTime { try connection.snapshot(body) }
        }
    }

    /// - Throws: `ChatError.searchTimedOut` if the server has ended a statement.
    private static func inTime<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as MySQLError where error.isOverTime {
            throw ChatError.searchTimedOut(passed: nil)
        }
    }

    private func matches(
        _ query: SearchQuery,
        _ chat: Chat.ID,
        _ page: Page,
        limit: Int,
        _ deadline: ContinuousClock.Instant,
        _ connection: isolated MySQLConnection
    ) throws -> SearchWalk {
        var search = try SearchWalk(query, limit: limit, bound: page.bytes, until: deadline)
        let upwards = page.walksUp
        var scan = search.needle.map {
            SearchBlockScan(of: chat, query, for: $0, upwards: upwards, isMariaDB: connection.isMariaDB)
        }
        var candidates = SearchCandidates()
        try search.run(
            page,
            blocks: { numbers in
                let blocks = try scan?.next(numbers, connection) ?? []
                candidates.expect(
                    blocks.flatMap { upwards ? $0.candidates : $0.candidates.reversed() }
                        .filter { query.takes($0.createdAt) }.map { Self.key($0.number, chat) })
                return blocks
            },
            rows: { numbers, search in
                var walk = self.walk(
                    chat,
                    Page(
                        after: numbers.lowerBound - 1, before: numbers.upperBound + 1, order: upwards ? .asc : .desc))
                try walk.run(limit: .max, connection) { row in
                    try search.see(MessageRow.body(row)) { MessageRow.message(row) }
                }
            },
            candidates: { numbers, search in
                for number in numbers {
                    guard let message = try candidates.message(Self.key(number, chat), connection) else { continue }
                    var body = message.body
                    let goesOn = try body.withUTF8 { try search.see(UnsafeRawBufferPointer($0)) { message } }
                    if !goesOn { return }
                }
            })
        return search
    }

    private static func key(_ number: Int64, _ chat: Chat.ID) -> MessageLookups.Key {
        MessageLookups.Key(chat: chat, number: Message.Number(number))
    }
}

extension MySQLStore {
    /// Chats, and holes in their blocks, per statement.
    private static let chatsAtOnce = 1024
    private static let holesAtOnce = 64
    /// A longer hole is walked by itself.
    private static let shortHole = 256
    /// Chats that are read as a whole, per statement: several times as fast as holes.
    private static let wholeAtOnce = 256

    /// Numbers of a chat that no block covers.
    private struct Hole {
        let chat: Int64
        let numbers: ClosedRange<Int64>
        /// Whether no block covers any of the chat's.
        let isWhole: Bool
    }

    func search(_ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage) async throws -> TenantHits {
        let deadline = ContinuousClock.now + SearchWalk.deadline
        return try await snapshot { connection in
            var search = try TenantSearchWalk(query, page: page, until: deadline)
            try search.run(
                rows: { try searchRows(of: tenant, &$0, connection) },
                blocks: { search in
                    try Self.inTime { try searchBlocks(of: tenant, query, &search, connection) }
                },
                lookUp: { try Self.messages(at: $0, connection) })
            let (found, hasMore, stoppedAt) = search.found
            let numbers = try Self.numbers(of: found.map(\.place.chat.rawValue), connection)
            let hits = found.compactMap { place, message in
                numbers[place.chat.rawValue].map { TenantHit(chat: place.chat, number: $0, message: message) }
            }
            return TenantHits(hits: hits, hasMore: hasMore, stoppedAt: stoppedAt)
        }
    }

    /// Searches the rows that are in no block.
    private func searchRows(
        of tenant: Tenant.ID, _ search: inout TenantSearchWalk, _ connection: isolated MySQLConnection
    ) throws {
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
        var number: Int64 = 0
        while true {
            let chats = try connection.rows(
                """
                SELECT id, number, (
                    SELECT number FROM \(NumberedTable.messages.byNumber)
                    WHERE chat_id = chats.id AND number <= \(NumberedTable.lastNumber) ORDER BY number DESC LIMIT 1)
                FROM \(NumberedTable.chats.byNumber) WHERE application_id = ? AND number > ?
                ORDER BY number LIMIT \(Self.chatsAtOnce)
                """, [.integer(tenant.rawValue), .integer(number)]
            ) { (id: $0.integer(0), number: $0.integer(1), last: $0.integer(2)) }
            try search.count(bytes: chats.count * SearchWalk.row)
            let holes = chats.flatMap { chat in
                (spans[chat.id] ?? []).gaps(upTo: chat.last).map {
                    Hole(chat: chat.id, numbers: $0, isWhole: spans[chat.id] == nil)
                }
            }
            let short = holes.filter { $0.numbers.count <= Self.shortHole }
            for some in short.filter(\.isWhole).chunks(of: Self.wholeAtOnce) {
                try read(some.map(\.chat).padded, &search, connection)
            }
            for some in short.filter({ !$0.isWhole }).chunks(of: Self.holesAtOnce) {
                try read(Array(some), &search, connection)
            }
            for hole in holes where hole.numbers.count > Self.shortHole { try walk(hole, &search, connection) }
            guard let last = chats.last, chats.count == Self.chatsAtOnce else { return }
            number = last.number
        }
    }

    private func read(
        _ chats: [Int64], _ search: inout TenantSearchWalk, _ connection: isolated MySQLConnection
    ) throws {
        try read(
            where: "chat_id IN (\(chats.map { _ in "?" }.joined(separator: ", ")))", chats.map { .integer($0) },
            &search, connection)
    }

    private func read(
        _ holes: [Hole], _ search: inout TenantSearchWalk, _ connection: isolated MySQLConnection
    ) throws {
        let padded = holes.padded
        try read(
            where: padded.map { _ in "(chat_id = ? AND number >= ? AND number <= ?)" }.joined(separator: " OR "),
            padded.flatMap { [.integer($0.chat), .integer($0.numbers.lowerBound), .integer($0.numbers.upperBound)] },
            &search, connection)
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
        _ hole: Hole, _ search: inout TenantSearchWalk, _ connection: isolated MySQLConnection
    ) throws {
        let chat = Chat.ID(hole.chat)
        var walk = self.walk(chat, Page(after: hole.numbers.lowerBound - 1, before: hole.numbers.upperBound + 1))
        try walk.run(limit: .max, connection) { row in
            try search.see(MessageRow.body(row), in: chat) { MessageRow.message(row) }
            return true
        }
    }

    /// Searches the blocks, newest first, until the page is full of newer hits.
    private func searchBlocks(
        of tenant: Tenant.ID, _ query: SearchQuery, _ search: inout TenantSearchWalk,
        _ connection: isolated MySQLConnection
    ) throws {
        guard let needle = search.needle else { return }
        let filter = SearchBlockFilter(query, needle, isMariaDB: connection.isMariaDB)
        let oldest = MySQLValue.timestamp((search.newest ?? .latest).inDatabase)
        var (newest, chat, first) = (Timestamp.latest.inDatabase, Int64.max, Int64.max)
        var limit = SearchBlockScan.first
        repeat {
            let blocks = try connection.rows(
                """
                SELECT chat_id, newest_at, first, last, \(filter.columns)
                FROM search_blocks FORCE INDEX (index_search_blocks_on_application)
                WHERE application_id = ? AND fold_version = ? AND oldest_at <= ? AND (
                    newest_at < ? OR (newest_at = ? AND (chat_id < ? OR (chat_id = ? AND first < ?))))
                ORDER BY newest_at DESC, chat_id DESC, first DESC LIMIT ?
                """,
                filter.parameters + [
                    .integer(tenant.rawValue), .integer(SearchBlock.version), oldest, .timestamp(newest),
                    .timestamp(newest), .integer(chat), .integer(chat), .integer(first), .integer(Int64(limit)),
                ]
            ) { row in
                (chat: row.integer(0), newest: row.timestamp(1), block: ScannedBlock(row, from: 2, for: needle))
            }
            for found in blocks {
                guard search.wants(upTo: Timestamp(microseconds: found.newest)) else { return }
                try search.take(found.block.candidates, of: Chat.ID(found.chat)) {
                    try Self.messages(at: $0, connection)
                }
                try search.count(bytes: SearchBlock.size)
            }
            guard let last = blocks.last, blocks.count == limit else { return }
            (newest, chat, first) = (last.newest, last.chat, last.block.span.lowerBound)
            limit = min(limit * 4, SearchBlockScan.most)
        } while search.wants(upTo: Timestamp(microseconds: newest))
    }

    private static func messages(
        at places: [SearchPlace], _ connection: isolated MySQLConnection
    ) throws -> [SearchPlace: Message] {
        let rows = try MessageLookups.read(places.map { key($0.number.rawValue, $0.chat) }, connection)
        return places.reduce(into: [:]) { messages, place in
            messages[place] = rows[key(place.number.rawValue, place.chat)]
        }
    }

    private static func numbers(
        of chats: [Int64], _ connection: isolated MySQLConnection
    ) throws -> [Int64: Chat.Number] {
        var numbers: [Int64: Chat.Number] = [:]
        for some in Array(Set(chats)).chunks(of: 256).map(\.padded) {
            try connection.query(
                "SELECT id, number FROM chats WHERE id IN (\(some.map { _ in "?" }.joined(separator: ", ")))",
                some.map { .integer($0) }
            ) { row in
                numbers[row.integer(0)] = Chat.Number(row.integer(1))
                return true
            }
        }
        return numbers
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

extension Timestamp {
    fileprivate static let latest = Timestamp(microseconds: .max)
}
