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
        let (needle, filter) = (search.needle, RowFilter(search.looking))
        try search.run(
            page,
            blocks: { numbers in
                try needle.map { try scanned(chat, numbers, upwards: page.walksUp, query, for: $0, db) } ?? []
            },
            rows: { numbers, search in
                let part = Page(
                    after: numbers.lowerBound - 1, before: numbers.upperBound + 1, order: page.walksUp ? .asc : .desc)
                let start = part.walksUp ? part.lowerBound : part.upperBound
                do {
                    try filter.run(matching(filter, chat, part, db), after: start) { row in
                        try search.see(MessageRow.body(row)) { MessageRow.message(row) }
                    }
                } catch ChatError.searchTimedOut(passed: nil) {
                    try search.endTime(passed: filter.last)
                }
            },
            candidates: { numbers, search in
                try each(numbers, of: chat, db) { row in
                    try search.see(MessageRow.body(row)) { MessageRow.message(row) }
                }
            })
        return search
    }

    /// The rows that match.
    private static func matching(
        _ filter: RowFilter, _ chat: Chat.ID, _ page: Page, _ db: Database
    ) throws -> Query {
        try Query(
            db,
            """
            SELECT \(MessageRow.columns) FROM messages
            WHERE chat_id = ? AND number > ? AND number < ? AND \(RowFilter.condition) ORDER BY number \(page.walkOrder)
            """, .integer(chat.rawValue), .integer(page.lowerBound), .integer(page.upperBound), filter.argument)
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
            if let viewer = query.viewer { try Self.admit(to: viewer, in: tenant, &search, db) }
            try search.run(
                rows: { try Self.searchRows(of: tenant, &$0, db) },
                blocks: { try Self.searchBlocks(of: tenant, &$0, db) },
                lookUp: { try Self.messages(at: $0, db) })
            return try search.hits { chats in
                let number = try Query(db, "SELECT number FROM chats WHERE id = ?")
                var numbers: [Chat.ID: Chat.Number] = [:]
                for chat in chats {
                    try number.rebind(.integer(chat.rawValue))
                    if try number.next() { numbers[chat] = Chat.Number(number.integer(0)) }
                }
                return numbers
            }
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

    /// Tells a search what is there for its viewer.
    private static func admit(
        to viewer: User.ID, in tenant: Tenant.ID, _ search: inout TenantSearchWalk, _ db: Database
    ) throws {
        let chats = try Query(
            db,
            """
            SELECT id, access, \(MemberRow.columns) FROM chats LEFT JOIN chat_members ON chat_id = id AND user_id = ?
            WHERE chats.application_id = ?
            """, .text(viewer.text), .integer(tenant.rawValue))
        while try chats.next() {
            try search.count(bytes: SearchWalk.row)
            search.admit(
                Chat.ID(chats.integer(0)), access: Chat.Access(rawValue: chats.integer(1)) ?? .members,
                member: chats.isNull(2) ? nil : MemberRow.member(chats, from: 2))
        }
    }

    /// Searches the rows that are in no block.
    private static func searchRows(of tenant: Tenant.ID, _ search: inout TenantSearchWalk, _ db: Database) throws {
        guard let first = search.firstChat else { return }
        let filter = RowFilter(search.looking)
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
            db,
            "SELECT id, last_message_number, number FROM chats WHERE application_id = ? AND number >= ? ORDER BY number",
            .integer(tenant.rawValue), .integer(first.rawValue))
        while try chats.next() {
            let (chat, last, number) = (chats.integer(0), chats.integer(1), Chat.Number(chats.integer(2)))
            let inBlocks = covered[chat] ?? 0
            try search.count(bytes: SearchWalk.row)
            if inBlocks < last, let left = search.left(of: number) {
                for numbers in inBlocks == 0 ? [1...last] : try holes(chat, upTo: last, db)
                where numbers.upperBound >= left.lowerBound {
                    try searchRows(numbers, of: Chat.ID(chat), number, from: left.lowerBound, &search, filter, db)
                }
            }
            search.pass(number)
        }
    }

    private static func searchRows(
        _ numbers: ClosedRange<Int64>, of chat: Chat.ID, _ number: Chat.Number, from first: Int64,
        _ search: inout TenantSearchWalk, _ filter: RowFilter, _ db: Database
    ) throws {
        let part = Page(after: max(numbers.lowerBound, first) - 1, before: numbers.upperBound + 1, order: .asc)
        do {
            try filter.run(matching(filter, chat, part, db), after: part.lowerBound) { row in
                try search.see(MessageRow.body(row), in: chat) { MessageRow.message(row) }
                return true
            }
        } catch ChatError.searchTimedOut {
            search.pass(number, upTo: filter.last)
            throw ChatError.searchTimedOut(passed: nil)
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
