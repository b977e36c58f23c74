package import ChatCore
import GRDB

extension SQLiteStore {
    /// Blocks per statement.
    private static let blocksAtOnce: Int64 = 16

    package func search(_ query: SearchQuery, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        // The wait for a free connection counts as well.
        let deadline = ContinuousClock.now + searchDeadline
        return try await scan(.search) { db in
            try SearchWalk.page(page) { try Self.matches(query, chat, $0, limit: $1, deadline, db) }
        }
    }

    private static func matches(
        _ query: SearchQuery,
        _ chat: Chat.ID,
        _ page: Page,
        limit: Int,
        _ deadline: ContinuousClock.Instant,
        _ db: Database
    ) throws -> SearchWalk {
        var search = try SearchWalk(query, limit: limit, bound: page.bytes, until: deadline)
        let needle = search.needle
        try search.run(
            page,
            blocks: { numbers in
                try needle.map { try scanned(chat, numbers, upwards: page.walksUp, query, for: $0, db) } ?? []
            },
            rows: { numbers, search in
                let part = Page(
                    after: numbers.lowerBound - 1, before: numbers.upperBound + 1, order: page.walksUp ? .asc : .desc)
                let rows = try walk(chat, part, limit: -1, db)
                while try rows.next(), try search.see(MessageRow.body(rows), { MessageRow.message(rows) }) {}
            },
            candidates: { numbers, search in
                try each(numbers, of: chat, db) { row in
                    try search.see(MessageRow.body(row)) { MessageRow.message(row) }
                }
            })
        return search
    }

    private static func scanned(
        _ chat: Chat.ID, _ numbers: ClosedRange<Int64>, upwards: Bool, _ search: SearchQuery, for needle: SearchNeedle,
        _ db: Database
    ) throws -> [ScannedBlock] {
        let query = try Query(
            db,
            """
            SELECT first, last, oldest_at, newest_at, numbers, times, folded FROM search_blocks
            WHERE chat_id = ? AND first >= \(firstCovering) AND first <= ? AND last >= ? AND fold_version = ?
            ORDER BY first \(upwards ? "ASC" : "DESC") LIMIT \(blocksAtOnce)
            """,
            .integer(chat.rawValue), .integer(chat.rawValue), .integer(numbers.lowerBound),
            .integer(numbers.upperBound), .integer(numbers.lowerBound), .integer(SearchBlock.version))
        var blocks: [ScannedBlock] = []
        while try query.next() {
            let span = query.integer(0)...max(query.integer(0), query.integer(1))
            let (oldest, newest) = (query.integer(2), query.integer(3))
            // Its text is not even read from the file.
            let isOfOtherTimes = !search.mayTake(
                from: Timestamp(microseconds: oldest), to: Timestamp(microseconds: newest))
            blocks.append(
                isOfOtherTimes ? ScannedBlock(span: span) : scanned(span, query, from: 4, for: needle))
        }
        return blocks
    }

    /// - Parameter column: that of `numbers`, before `times` and `folded`.
    private static func scanned(
        _ span: ClosedRange<Int64>, _ row: borrowing Query, from column: CInt, for needle: SearchNeedle
    ) -> ScannedBlock {
        ScannedBlock(
            span: span, numbers: row.bytes(column), times: row.bytes(column + 1), folded: row.bytes(column + 2),
            for: needle)
    }

    /// Passes the rows of these numbers, those that are there, until `body` returns false.
    private static func each(
        _ numbers: [Int64], of chat: Chat.ID, _ db: Database, _ body: (borrowing Query) throws -> Bool
    ) throws {
        let query = try Query(db, MessageRow.lookUp)
        for number in numbers {
            try query.rebind(.integer(chat.rawValue), .integer(number))
            guard try !query.next() || body(query) else { return }
        }
    }
}

extension SQLiteStore {
    package func search(
        _ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage
    ) async throws -> TenantHits {
        let deadline = ContinuousClock.now + searchDeadline
        return try await scan(.search) { db in
            var search = try TenantSearchWalk(query, page: page, until: deadline)
            try search.run(
                rows: { try Self.searchRows(of: tenant, &$0, db) },
                blocks: { try Self.searchBlocks(of: tenant, &$0, db) },
                lookUp: { try Self.messages(at: $0, db) })
            let (found, hasMore, stoppedAt) = search.found
            let number = try Query(db, "SELECT number FROM chats WHERE id = ?")
            let hits = try found.compactMap { place, message in
                try number.rebind(.integer(place.chat.rawValue))
                guard try number.next() else { return TenantHit?.none }
                return TenantHit(chat: place.chat, number: Chat.Number(number.integer(0)), message: message)
            }
            return TenantHits(hits: hits, hasMore: hasMore, stoppedAt: stoppedAt)
        }
    }

    private static func messages(at places: [SearchPlace], _ db: Database) throws -> [SearchPlace: Message] {
        var messages: [SearchPlace: Message] = [:]
        for place in places {
            try each([place.number.rawValue], of: place.chat, db) { row in
                messages[place] = MessageRow.message(row)
                return true
            }
        }
        return messages
    }

    /// Searches the rows that are in no block.
    private static func searchRows(of tenant: Tenant.ID, _ search: inout TenantSearchWalk, _ db: Database) throws {
        var covered: [Int64: Int64] = [:]
        if search.needle != nil {
            let spans = try Query(
                db,
                """
                SELECT chat_id, last - first + 1 FROM search_blocks WHERE application_id = ? AND fold_version = ?
                """, .integer(tenant.rawValue), .integer(SearchBlock.version))
            while try spans.next() {
                covered[spans.integer(0), default: 0] += spans.integer(1)
                try search.count(bytes: SearchWalk.row)
            }
        }
        let chats = try Query(
            db, "SELECT id, last_message_number FROM chats WHERE application_id = ?", .integer(tenant.rawValue))
        while try chats.next() {
            let (chat, last) = (chats.integer(0), chats.integer(1))
            let inBlocks = covered[chat] ?? 0
            try search.count(bytes: SearchWalk.row)
            guard inBlocks < last else { continue }
            for numbers in inBlocks == 0 ? [1...last] : try holes(chat, upTo: last, db) {
                let rows = try walk(
                    Chat.ID(chat), Page(after: numbers.lowerBound - 1, before: numbers.upperBound + 1), limit: -1, db)
                while try rows.next() {
                    try search.see(MessageRow.body(rows), in: Chat.ID(chat)) { MessageRow.message(rows) }
                }
            }
        }
    }

    /// The numbers of a chat that no block covers.
    private static func holes(_ chat: Int64, upTo last: Int64, _ db: Database) throws -> [ClosedRange<Int64>] {
        let spans = try Query(
            db, "SELECT first, last FROM search_blocks WHERE chat_id = ? AND fold_version = ? ORDER BY first",
            .integer(chat), .integer(SearchBlock.version))
        var (holes, next): ([ClosedRange<Int64>], Int64) = ([], 1)
        while try spans.next() {
            if spans.integer(0) > next { holes.append(next...spans.integer(0) - 1) }
            next = max(next, spans.integer(1) + 1)
        }
        if next <= last { holes.append(next...last) }
        return holes
    }

    /// Searches the blocks, newest first, until the page is full of newer hits.
    private static func searchBlocks(of tenant: Tenant.ID, _ search: inout TenantSearchWalk, _ db: Database) throws {
        guard let needle = search.needle else { return }
        let blocks = try Query(
            db,
            """
            SELECT chat_id, first, last, oldest_at, newest_at, numbers, times, folded FROM search_blocks
            WHERE application_id = ? AND fold_version = ? ORDER BY newest_at DESC
            """, .integer(tenant.rawValue), .integer(SearchBlock.version))
        while try blocks.next(), search.wants(upTo: Timestamp(microseconds: blocks.integer(4))) {
            try search.count(bytes: SearchWalk.row)
            guard !search.hasPassed(from: Timestamp(microseconds: blocks.integer(3))) else { continue }
            let span = blocks.integer(1)...max(blocks.integer(1), blocks.integer(2))
            try search.take(
                scanned(span, blocks, from: 5, for: needle).candidates, of: Chat.ID(blocks.integer(0))
            ) { try messages(at: $0, db) }
            try search.count(bytes: blocks.bytes(7).count)
        }
    }
}
