import MySQLClient

/// Repairs the counts, Redis' copies and the holes of chats and applications.
struct Reconciler: Sendable {
    /// How often a chunk is recounted because of concurrent writes.
    private static let tries = 3

    let context: JobContext

    private var copies: RedisCopies { RedisCopies(redis: context.redis) }

    /// - Parameter ids: at most 256.
    /// - Returns: the existing chats.
    @discardableResult
    func reconcile(chats ids: [Int64], _ stint: Stint) async throws -> [ChatRecount.Chat] {
        // Before the counting: a copy that changes meanwhile is not replaced.
        let read = try await copies.values(of: ids.map(RedisKey.messagesCount))
        var (chats, unfinished) = try await recount(ids)
        let holes = Holes(table: .messages, context: context)
        var mended: [Int64] = []
        for chat in chats where !chat.isDense {
            let (closed, isDone) = try await holes.close(in: chat.id, after: chat.counted, stint)
            if closed > 0 { mended.append(chat.id) }
            if !isDone { unfinished.insert(chat.id) }
        }
        // Recount, so that `counted_number` passes the closed holes.
        let again = try await recount(mended)
        unfinished.formUnion(again.unfinished)
        let recounted = Dictionary(uniqueKeysWithValues: again.chats.map { ($0.id, $0) })
        chats = chats.map { recounted[$0.id] ?? $0 }
        try await record(unfinished.map { OwnedNumber(owner: $0, number: 0) }, of: .chat)
        try await copies.replaceCounts(
            Dictionary(uniqueKeysWithValues: chats.map { ($0.id, $0.messages) }), read: read)
        try await copies.raiseNumbers(
            of: .messages, to: Dictionary(uniqueKeysWithValues: chats.map { ($0.id, $0.highest) }))
        return chats
    }

    private func recount(_ ids: [Int64]) async throws -> (chats: [ChatRecount.Chat], unfinished: Set<Int64>) {
        var chats: [ChatRecount.Chat] = []
        let unfinished = try await repeated {
            let (found, unwritten) = try await ChatRecount(context: context).run(ids)
            chats = found
            return unwritten
        }
        return (chats, unfinished)
    }

    /// Recounts after concurrent writes.
    ///
    /// - Returns: the ids that could not be written.
    private func repeated(_ recount: () async throws -> Unwritten) async throws -> Set<Int64> {
        var unwritten = Unwritten()
        for _ in 0..<Self.tries {
            unwritten = try await recount()
            if unwritten.overtaken.isEmpty { break }
        }
        return unwritten.overtaken.union(unwritten.locked)
    }

    /// Records unfinished owners as changes for the next run, because the position moves past the original changes.
    private func record(_ unfinished: [OwnedNumber], of scope: IdempotencyTable.Scope) async throws {
        guard !unfinished.isEmpty else { return }
        try await context.write { try LogChanges.record(unfinished, of: scope, batch: BatchID.random(), $0) }
    }

    /// An application to reconcile.
    struct Application: Sendable {
        let id: Int64
        /// All chat numbers up to this one are stored; nil if it has no new chat.
        let dense: Int64?
        /// If it has more chats, its stripes are not recounted: they are exact unless other programs store rows.
        var chatsAtMost = 0
    }

    /// - Parameter applications: at most 256.
    func reconcile(_ applications: [Application], _ stint: Stint) async throws {
        let holes = Holes(table: .chats, context: context)
        var unfinished: [Int64: Int64] = [:]
        for application in applications {
            if application.chatsAtMost > 0 {
                try await stint.step()
                _ = try await StripeRecount(context: context).run(application.id, chatsAtMost: application.chatsAtMost)
            }
            if let dense = application.dense, try await !holes.close(in: application.id, after: dense, stint).isDone {
                unfinished[application.id] = dense + 1
            }
        }
        let unwritten = try await repeated {
            try await ApplicationRecount(context: context).run(applications.map(\.id))
        }
        for id in unwritten where unfinished[id] == nil { unfinished[id] = 0 }
        try await record(unfinished.map { OwnedNumber(owner: $0.key, number: $0.value) }, of: .application)
        let grown = applications.filter { $0.dense != nil }.map(\.id)
        let highest = try await context.store.chatLog.highestNumbers(of: grown, within: .seconds(10))
        try await copies.raiseNumbers(of: .chats, to: highest)
    }

    /// The number of the chat before another one in an application; 0 if there is none.
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
