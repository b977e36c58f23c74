import ChatCore
import MySQLClient
import RedisClient

extension MySQLStore: MessageChanges {
    func revise(
        _ batch: [MessageChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<ChangedMessage, ChatError>] {
        let patience = Retry(patience: min(messageLog.patience, time))
        let results = await tellingThreads(
            of: batch, try await revise(batch, at: now, patience, isAlone: false))
        let count = results.count { (try? $0.get().isChanged) == true }
        if count > 0 { writing.note(count) }
        let reached = batch.reached(results)
        if !reached.isEmpty { bus.publish(revisions: reached) }
        let changed = batch.changed(results)
        if !changed.isEmpty { redis.post(bus.publish(changed)) }
        return results
    }

    /// The replies whose content has changed get their roots, by one read for all.
    private func tellingThreads(
        of batch: [MessageChange], _ results: [Result<ChangedMessage, ChatError>]
    ) async -> [Result<ChangedMessage, ChatError>] {
        let threads = zip(batch, results).map { change, result -> ThreadTable.Key? in
            guard change.changesContent, case .success(let changed) = result, changed.isChanged else { return nil }
            return ThreadTable.Key(chat: change.chat.id, thread: changed.message.content.thread)
        }
        let found = await self.threads(threads)
        guard !found.isEmpty else { return results }
        return zip(threads, results).map { thread, result in
            guard let thread else { return result }
            return result.map { changed in
                var changed = changed
                changed.message.root = found[thread]
                return changed
            }
        }
    }

    /// - Parameter isAlone: whether the batch has one chat, of which another transaction may hold rows: it does not wait for
    ///   them, and is answered `.held`.
    private func revise(
        _ batch: [MessageChange], at now: Timestamp, _ patience: Retry, isAlone: Bool
    ) async throws(ChatError) -> [Result<ChangedMessage, ChatError>] {
        let revisions = RevisionBatch(batch, id: BatchID.random(), at: now)
        var retry = patience
        // Of an attempt whose commit was not confirmed.
        var doubtful: RevisionBatch.Plan?
        while true {
            var tried = Attempt()
            do throws(MySQLError) {
                tried = try await attempt(revisions, after: doubtful, isAlone: isAlone, within: retry.remaining)
            } catch {
                tried.failure = error
            }
            if tried.isUnknown { throw .outcomeUnknown }
            guard let failure = tried.failure else {
                if let changes = tried.plan.changes { messageLog.changes.see(changes) }
                return tried.plan.outcomes.map { $0! }
            }
            if failure.leavesInDoubt { doubtful = tried.plan }
            if failure.kind == .lockTimeout, doubtful == nil {
                guard !isAlone else { return batch.map { _ in .failure(.held) } }
                return await batch.eachOwner(\.owner, within: retry) { some throws(ChatError) in
                    try await revise(some, at: now, retry, isAlone: true)
                }
            }
            guard await retry.mayGoOn(after: failure) else {
                throw doubtful == nil ? ChatError(driver: failure) : .outcomeUnknown
            }
        }
    }

    private struct Attempt: Sendable {
        var plan = RevisionBatch.Plan(outcomes: [])
        var failure: MySQLError?
        /// Whether nobody can tell any more what became of the attempt before.
        var isUnknown = false
    }

    /// - Returns: the plan even if the commit failed: it may be stored.
    private func attempt(
        _ revisions: RevisionBatch, after doubtful: RevisionBatch.Plan?, isAlone: Bool, within time: Duration
    ) async throws(MySQLError) -> Attempt {
        let records = messageLog.changes
        return try await writes.run(within: time) { connection in
            var attempt = Attempt()
            do {
                if isAlone {
                    try connection.withoutLockWaits { connection in
                        try connection.transaction { connection in
                            attempt.plan = try revisions.carryOut(after: doubtful, records, connection)
                        }
                    }
                } else {
                    try connection.transaction { connection in
                        attempt.plan = try revisions.carryOut(after: doubtful, records, connection)
                    }
                }
            } catch let error as MySQLError {
                attempt.failure = error
            } catch is ChatError {
                attempt.isUnknown = true
            }
            return attempt
        }
    }
}

extension MySQLStore {
    func revisions(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try await read(.revisions) { connection in
            var revisions: [Chat.ID: Int64] = [:]
            for some in chats.chunks(of: 256).map(\.padded) {
                let marks = some.map { _ in "?" }.joined(separator: ", ")
                try connection.query(
                    "SELECT chat_id, revision FROM chat_heads WHERE chat_id IN (\(marks))",
                    some.map { .integer($0.rawValue) }
                ) { row in
                    revisions[Chat.ID(row.integer(0))] = row.integer(1)
                    return true
                }
            }
            return revisions
        }
    }

    func changes(
        in chat: Chat.ID, after revision: Int64, upTo last: Int64, limit: Int
    ) async throws -> [ChangedItem] {
        try await read(.changes) { connection in
            try connection.rows(
                """
                SELECT kind, item, user_id, revision FROM chat_changes
                WHERE chat_id = ? AND revision > ? AND revision <= ? ORDER BY revision LIMIT ?
                """, [.integer(chat.rawValue), .integer(revision), .integer(last), .integer(Int64(limit))]
            ) { row in
                let user = row.text(2)
                return ChangedItem(
                    kind: ChangedItem.Kind(rawValue: row.integer(0)), number: row.integer(1),
                    user: user.isEmpty ? nil : User.ID(stored: user), revision: row.integer(3))
            }
        }
    }

    func messages(
        _ numbers: [Message.Number], in chat: Chat.ID
    ) async throws -> [Message.Number: Message] {
        try await read(.messages) { connection in
            var messages: [Message.Number: Message] = [:]
            for some in numbers.chunks(of: MessageLookups.most) {
                let keys = some.map { MessageLookups.Key(chat: chat, number: $0) }
                for (key, message) in try MessageLookups.read(keys, connection) { messages[key.number] = message }
            }
            return messages
        }
    }

    func versions(
        of number: Message.Number, in chat: Chat.ID, page: Page, since time: Timestamp
    ) async throws -> PageOf<MessageVersion> {
        try await read(.messageVersions) { connection in
            let walked = try Self.versions(of: number, in: chat, page, limit: page.limit + 1, since: time, connection)
            let behind = try page.behind.map {
                try Self.versions(of: number, in: chat, $0, limit: 1, since: time, connection)
            }
            return PageOf(versions: walked, page: page, isPrecededBy: behind?.isEmpty == false)
        }
    }

    private static func versions(
        of number: Message.Number, in chat: Chat.ID, _ page: Page, limit: Int, since time: Timestamp,
        _ connection: isolated MySQLConnection
    ) throws -> [MessageVersion] {
        var versions: [MessageVersion] = []
        var bytes = 0
        try connection.query(
            """
            SELECT revision, body, metadata, created_at, replaced_at, mentions FROM message_versions
            WHERE chat_id = ? AND number = ? AND revision > ? AND revision < ? AND replaced_at >= ?
            ORDER BY revision \(page.walksUp ? "ASC" : "DESC") LIMIT ?
            """,
            [
                // The first version has the revision 0.
                .integer(chat.rawValue), .integer(number.rawValue),
                .integer(page.after == nil ? -1 : page.lowerBound), .integer(page.upperBound),
                .timestamp(time.microseconds), .integer(Int64(limit)),
            ]
        ) { row in
            versions.append(
                MessageVersion(
                    revision: row.integer(0), body: row.text(1), metadata: row.isNull(2) ? nil : row.text(2),
                    mentions: MessageRow.mentions(row, 5),
                    createdAt: Timestamp(microseconds: row.timestamp(3)),
                    replacedAt: Timestamp(microseconds: row.timestamp(4))))
            bytes += row.bytes(1).lengthInJSON + row.bytes(2).count + row.bytes(5).count
            return bytes <= page.bytes
        }
        return versions
    }

    func deletedCount(in chat: Chat.ID, of numbers: NumberSpan) async throws -> Int64 {
        try await read(.deletedCount) { connection in
            if numbers == .all {
                return try connection.first(
                    "SELECT deleted_count FROM chat_heads WHERE chat_id = ?", [.integer(chat.rawValue)]
                ) { $0.integer(0) } ?? 0
            }
            return try connection.first(
                """
                SELECT COUNT(*) FROM chat_changes AS changes
                STRAIGHT_JOIN messages ON messages.chat_id = changes.chat_id AND messages.number = changes.item
                WHERE changes.chat_id = ? AND kind = \(ChangedItem.Kind.message.rawValue) AND item BETWEEN ? AND ?
                AND messages.batch_id >= 0 AND deleted_at IS NOT NULL
                """, [.integer(chat.rawValue), .integer(numbers.first), .integer(numbers.last)]
            ) { $0.integer(0) } ?? 0
        }
    }

    func expireVersions(by rules: EditRules, at now: Timestamp, limit: Int) async throws -> Bool {
        do throws(MySQLError) {
            return try await writes.run(within: messageLog.patience) { connection in
                let old = try connection.rows(
                    """
                    SELECT chat_id, number, revision FROM message_versions
                    WHERE replaced_at < LEAST(UTC_TIMESTAMP(6), CAST(? AS DATETIME(6))) - INTERVAL ? DAY
                    ORDER BY replaced_at LIMIT ?
                    """, [.timestamp(now.microseconds), .integer(Int64(rules.historyDays)), .integer(Int64(limit))]
                ) { row in (0..<3).map { MySQLValue.integer(row.integer($0)) } }
                for some in old.chunks(of: Self.deletedVersions).map(\.padded) {
                    let condition = some.map { _ in "(chat_id = ? AND number = ? AND revision = ?)" }
                    try connection.execute(
                        "DELETE FROM message_versions WHERE \(condition.joined(separator: " OR "))", some.flatMap { $0 }
                    )
                }
                return old.count == limit
            }
        } catch {
            throw ChatError(driver: error)
        }
    }

    /// Of one statement.
    private static let deletedVersions = 64
}
