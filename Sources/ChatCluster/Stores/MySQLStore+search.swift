import ChatCore
import MySQLClient

/// Searches blocks, and rows where there are none, in one snapshot. The server tells which blocks may match; which
/// messages do is decided here, by the same code as in the embedded store, so that the same text gives the same result.
extension MySQLStore {
    func search(_ query: SearchQuery, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        // The wait for a free connection counts as well.
        let deadline = ContinuousClock.now + searchDeadline
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
    func search(_ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage) async throws -> TenantHits {
        let deadline = ContinuousClock.now + searchDeadline
        return try await snapshot { connection in
            var search = try TenantSearchWalk(query, page: page, until: deadline)
            if let viewer = query.viewer {
                try Self.inTime { try MemberTable.admit(to: viewer, in: tenant, &search, connection) }
            }
            try search.run(
                rows: { search in try Self.inTime { try searchRows(of: tenant, &search, connection) } },
                blocks: { search in
                    try Self.inTime { try searchBlocks(of: tenant, query, &search, connection) }
                },
                lookUp: { try Self.messages(at: $0, connection) })
            return try search.hits { try Self.numbers(of: $0, connection) }
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
        of chats: [Chat.ID], _ connection: isolated MySQLConnection
    ) throws -> [Chat.ID: Chat.Number] {
        var numbers: [Chat.ID: Chat.Number] = [:]
        for some in chats.chunks(of: 256).map(\.padded) {
            try connection.query(
                "SELECT id, number FROM chats WHERE id IN (\(some.map { _ in "?" }.joined(separator: ", ")))",
                some.map { .integer($0.rawValue) }
            ) { row in
                numbers[Chat.ID(row.integer(0))] = Chat.Number(row.integer(1))
                return true
            }
        }
        return numbers
    }
}

extension Timestamp {
    fileprivate static let latest = Timestamp(microseconds: .max)
}
