import MySQLClient

/// Puts everything right that is kept about chats and applications beside their rows.
struct Reconciler: Sendable {
    /// Looks at a chunk again where somebody else wrote at the same time.
    private static let tries = 3

    let context: JobContext

    private var copies: RedisCopies { RedisCopies(redis: context.redis) }

    /// - Parameter ids: at most 256.
    /// - Returns: the chats that are there.
    @discardableResult
    func reconcile(chats ids: [Int64], _ stint: Stint) async throws -> [ChatRecount.Chat] {
        // Before the counting: what is added to a copy meanwhile keeps it from being replaced.
        let read = try await copies.values(of: ids.map(RedisKey.messagesCount))
        var chats = try await recount(ids)
        let holes = Holes(table: .messages, context: context)
        var mended: [Int64] = []
        for chat in chats where !chat.isDense {
            if try await holes.close(in: chat.id, after: chat.counted, stint) > 0 { mended.append(chat.id) }
        }
        // Counted again, so that `counted_number` goes past what was missing.
        let again = Dictionary(uniqueKeysWithValues: try await recount(mended).map { ($0.id, $0) })
        chats = chats.map { again[$0.id] ?? $0 }
        try await copies.replaceCounts(
            Dictionary(uniqueKeysWithValues: chats.map { ($0.id, $0.messages) }), read: read)
        try await copies.raiseNumbers(
            of: .messages, to: Dictionary(uniqueKeysWithValues: chats.map { ($0.id, $0.highest) }))
        return chats
    }

    private func recount(_ ids: [Int64]) async throws -> [ChatRecount.Chat] {
        var chats: [ChatRecount.Chat] = []
        try await repeated(RedisKey.dirtyChats) {
            let (found, unwritten) = try await ChatRecount(context: context, tolerance: 1).run(ids)
            chats = found
            return unwritten
        }
        return chats
    }

    /// Counts again where somebody else wrote at the same time. What cannot be written now is the next sync's: nothing
    /// leads to it again once the position has passed.
    private func repeated(_ marks: String, _ recount: () async throws -> Unwritten) async throws {
        var unwritten = Unwritten()
        for _ in 0..<Self.tries {
            unwritten = try await recount()
            if unwritten.overtaken.isEmpty { break }
        }
        guard !unwritten.isEmpty else { return }
        try await DirtySet(key: marks, redis: context.redis).mark(Array(unwritten.overtaken.union(unwritten.locked)))
    }

    /// An application to be looked at.
    struct Application: Sendable {
        let id: Int64
        /// Of its chats' numbers, those up to here are there; nil where no chat is new.
        let dense: Int64?
        /// The stripes of one with more chats are left as they are.
        let chatsAtMost: Int
    }

    /// - Parameter applications: at most 256.
    func reconcile(_ applications: [Application], _ stint: Stint) async throws {
        let holes = Holes(table: .chats, context: context)
        for application in applications {
            try await stint.step()
            _ = try await StripeRecount(context: context).run(application.id, chatsAtMost: application.chatsAtMost)
            if let dense = application.dense {
                _ = try await holes.close(in: application.id, after: dense, stint)
            }
        }
        try await repeated(RedisKey.dirtyApplications) {
            try await ApplicationRecount(context: context).run(applications.map(\.id))
        }
        let grown = applications.filter { $0.dense != nil }.map(\.id)
        let highest = try await context.store.chatLog.highestNumbers(of: grown, within: .seconds(10))
        try await copies.raiseNumbers(of: .chats, to: highest)
    }

    /// The number of the chat that comes before another in an application; 0 for none.
    func number(before number: Int64, in application: Int64) async throws -> Int64 {
        try await context.read { connection in
            try connection.first(
                """
                SELECT number FROM \(NumberedTable.chats.byNumber) WHERE application_id = ? AND number < ? AND number > 0
                ORDER BY number DESC LIMIT 1
                """, [.integer(application), .integer(number)]
            ) { $0.integer(0) } ?? 0
        }
    }
}
