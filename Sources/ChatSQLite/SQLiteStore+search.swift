package import ChatCore
import GRDB

extension SQLiteStore {
    package func search(_ text: SearchText, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        // The wait for a free connection counts as well.
        let deadline = ContinuousClock.now + searchDeadline
        return try await scan(.search) { db in
            let found = try Self.matches(text, chat, page, limit: page.limit + 1, deadline, db)
            let page = page.cut(to: found)
            let precedes = try page.behind.map { try !Self.matches(text, chat, $0, limit: 1, deadline, db).isEmpty }
            return PageOf(walked: found, page: page, isPrecededBy: precedes ?? false)
        }
    }

    private static func matches(
        _ text: SearchText,
        _ chat: Chat.ID,
        _ page: Page,
        limit: Int,
        _ deadline: ContinuousClock.Instant,
        _ db: Database
    ) throws -> [Message] {
        let query = try walk(chat, page, limit: -1, db)
        var search = try SearchWalk(text, limit: limit, bound: page.bytes, until: deadline)
        while try query.next() {
            guard try search.see(MessageRow.body(query), { MessageRow.message(query) }) else { break }
        }
        return search.found
    }
}
