import ChatCore
import MySQLClient

extension MySQLStore: MessageStore {
    func message(_ number: Message.Number, in chat: Chat.ID) async throws -> Message? {
        try await observer.observe(.message) {
            try await lookups.message(MessageLookups.Key(chat: chat, number: number)) { keys in
                try await read { try MessageLookups.read(keys, $0) }
            }
        }
    }

    func messages(in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await read(.messages) { connection in
            var messages: [Message] = []
            var bytes = 0
            var walk = self.walk(chat, page)
            try walk.run(limit: page.limit + 1, connection) { row in
                messages.append(MessageRow.message(row))
                bytes += MessageRow.body(row).lengthInJSON
                return bytes <= page.bytes
            }
            let page = page.cut(to: messages.count, of: bytes)
            return PageOf(
                walked: messages, page: page,
                isPrecededBy: try isPreceded(page, in: .messages, of: chat.rawValue, connection))
        }
    }

    /// The index finds whether a row precedes the page. The matching runs here, by the same code as in the embedded
    /// store, so that the same text gives the same result.
    func search(_ query: SearchQuery, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        // The wait for a free connection counts as well.
        let deadline = ContinuousClock.now + SearchWalk.deadline
        return try await scan(.search, within: SearchWalk.deadline) { connection in
            let found = try matches(query, chat, page, limit: page.limit + 1, deadline, connection)
            let page = page.cut(to: found)
            guard let behind = page.behind else { return PageOf(walked: found, page: page, isPrecededBy: false) }
            let preceding = try matches(query, chat, behind, limit: 1, deadline, connection)
            return PageOf(walked: found, page: page, isPrecededBy: !preceding.isEmpty)
        }
    }

    private func matches(
        _ query: SearchQuery,
        _ chat: Chat.ID,
        _ page: Page,
        limit: Int,
        _ deadline: ContinuousClock.Instant,
        _ connection: isolated MySQLConnection
    ) throws -> [Message] {
        var search = try SearchWalk(query, limit: limit, bound: page.bytes, until: deadline)
        var walk = self.walk(chat, page)
        try walk.run(limit: .max, connection) { row in try search.see(MessageRow.body(row)) { MessageRow.message(row) }
        }
        return search.found
    }

    func search(_ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage) async throws -> TenantHits {
        let deadline = ContinuousClock.now + SearchWalk.deadline
        return try await scan(.search, within: SearchWalk.deadline) { connection in
            var search = try TenantSearchWalk(query, page: page, until: deadline)
            var numbers: [Chat.ID: Chat.Number] = [:]
            try connection.query(
                "SELECT id, number FROM chats WHERE application_id = ?", [.integer(tenant.rawValue)]
            ) { row in
                numbers[Chat.ID(row.integer(0))] = Chat.Number(row.integer(1))
                return true
            }
            for chat in numbers.keys {
                var walk = self.walk(chat, Page())
                try walk.run(limit: .max, connection) { row in
                    try search.see(MessageRow.body(row), in: chat) { MessageRow.message(row) }
                    return true
                }
            }
            let (found, hasMore) = search.found
            return TenantHits(
                hits: found.compactMap { place, message in
                    numbers[place.chat].map { TenantHit(chat: place.chat, number: $0, message: message) }
                }, hasMore: hasMore)
        }
    }

    private func walk(_ chat: Chat.ID, _ page: Page) -> NumberedWalk {
        walk(.messages, of: chat.rawValue, page, columns: MessageRow.columns)
    }

    func count(in chat: Chat.ID) async throws -> Int64? {
        let count = try await read(.chatMessageCount) { connection in
            try connection.first(
                "SELECT \(ChatCount.columns) FROM chats WHERE id = ?", [.integer(chat.rawValue)]
            ) { ChatCount($0, from: 0) }
        }
        if let count { counting.advance(count, self) }
        return count?.messages
    }
}
