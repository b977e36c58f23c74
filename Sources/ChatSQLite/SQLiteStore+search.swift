package import ChatCore
import GRDB

extension SQLiteStore {
    /// How long one search may walk a chat.
    static let searchDeadline = Duration.seconds(5)

    package func search(_ text: SearchText, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        // The wait for a free connection counts as well.
        let deadline = ContinuousClock.now + Self.searchDeadline
        return try await scan { db in
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
        var matcher = SearchMatcher(text)
        try checkDeadline(deadline)
        var found: [Message] = []
        var bytes = 0
        var walked = 0
        while found.count < limit, bytes <= pageBytes, try query.next() {
            if matcher.matches(query.bytes(1)) {
                found.append(message(query))
                bytes += query.bytes(1).count
            }
            walked += 1
            if walked.isMultiple(of: 1024) { try checkDeadline(deadline) }
        }
        return found
    }

    private static func checkDeadline(_ deadline: ContinuousClock.Instant) throws {
        guard ContinuousClock.now < deadline else {
            throw ChatError.unavailable(reason: "The search took too long; narrow it with after and before")
        }
    }
}

extension Page {
    /// The page that ends where this one's walk starts; nil when the walk starts at an end.
    fileprivate var behind: Page? {
        // No row lies beyond the largest number, nor below zero.
        if walksUp { return after.map { Page(before: $0 == .max ? nil : $0 + 1, order: .desc) } }
        return before.map { Page(after: max($0, 1) - 1) }
    }
}
