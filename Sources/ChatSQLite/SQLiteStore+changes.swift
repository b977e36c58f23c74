package import ChatCore
import GRDB

extension SQLiteStore: ChatLog {
    package func apply(
        _ batch: [ChatChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<ChatChange.Outcome, ChatError>] {
        // It may have been stored even if this throws.
        defer { changed.see(batch) }
        let results = try write { db in
            try ChangeBatch(db: db, now: now, keyTime: keyClock.now(db, wall: now)).apply(batch)
        }
        bus.publish(batch, results)
        return results
    }
}

/// Stores a batch in one transaction: takes numbers once for each chat, inserts the rows one by one, and raises the
/// counts once for each chat and tenant.
private struct ChangeBatch {
    let db: Database
    let now: Timestamp
    /// The time of `KeyClock`.
    let keyTime: Timestamp

    func apply(_ batch: [ChatChange]) throws -> [Result<ChatChange.Outcome, ChatError>] {
        let keys = IdempotencyTable(db: db, scope: .chat, now: keyTime)
        var results = try batch.map { try replay($0, keys) }
        var authors = AuthorCheck(db)
        for (index, change) in batch.enumerated() where results[index] == nil {
            if let refusal = try authors.refusal(of: change.author, in: change.tenant, to: change.chat) {
                results[index] = .failure(refusal)
            }
        }
        var wanted: [Chat.ID: Int64] = [:]
        for (change, result) in zip(batch, results) where result == nil {
            switch change {
            case .message(let new): wanted[new.chat, default: 0] += 1
            }
        }
        var numbers = try takeNumbers(wanted)
        var added: [Tenant.ID: Int64] = [:]

        let insert = try Query(
            db,
            """
            INSERT INTO messages (chat_id, number, body, created_at, sender, metadata, thread, reply_to, in_main,
                mentions)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        for (index, change) in batch.enumerated() where results[index] == nil {
            switch change {
            case .message(let new):
                guard let number = numbers[new.chat] else {
                    results[index] = .failure(.notFound)
                    continue
                }
                numbers[new.chat] = number + 1
                added[new.tenant, default: 0] += 1
                try insert.rebind(
                    .integer(new.chat.rawValue), .integer(number), .text(new.content.body), .integer(now.microseconds),
                    new.content.sender.map { .text($0.text) } ?? .null,
                    new.content.metadata.map { .text($0) } ?? .null,
                    new.content.thread.map { .integer($0.rawValue) } ?? .null,
                    new.content.replyTo.map { .integer($0.rawValue) } ?? .null, new.content.isInMain ? 1 : .null,
                    new.content.mentions.map { .text($0.json) } ?? .null)
                try insert.run()
                if let thread = new.content.thread { try SQLiteStore.add(reply: number, to: thread, in: new.chat, db) }
                try keys.remember(new.key, in: new.chat.rawValue, number: number)
                results[index] = .success(
                    .message(AppendedMessage(number: Message.Number(number), createdAt: now, isReplay: false)))
            }
        }
        try addToCounts(added)
        try tellThreads(of: batch, &results)
        if batch.contains(where: { $0.key != nil }) { try keys.expire(atMost: 2 * batch.count) }
        return results.map { $0! }
    }

    /// The new replies get their roots, as they are after the batch.
    private func tellThreads(
        of batch: [ChatChange], _ results: inout [Result<ChatChange.Outcome, ChatError>?]
    ) throws {
        for (index, change) in batch.enumerated() {
            guard case .message(let new) = change, let thread = new.content.thread,
                case .success(.message(var appended)) = results[index], !appended.isReplay
            else { continue }
            appended.root = try SQLiteStore.thread(thread, in: new.chat, db)
            results[index] = .success(.message(appended))
        }
    }

    /// The outcome of a change with a known key; nil if it must be stored.
    private func replay(
        _ change: ChatChange, _ keys: IdempotencyTable
    ) throws -> Result<ChatChange.Outcome, ChatError>? {
        let chat = change.chat.rawValue
        switch try keys.lookUp(change.key, in: chat) {
        case .unseen: return nil
        case .reused: return .failure(.keyReused)
        case .seen(let number):
            let query = try Query(
                db, "SELECT created_at FROM messages WHERE chat_id = ? AND number = ?",
                .integer(chat), .integer(number))
            guard try query.next() else { return .failure(.notFound) }
            let createdAt = Timestamp(microseconds: query.integer(0))
            return .success(
                .message(AppendedMessage(number: Message.Number(number), createdAt: createdAt, isReplay: true)))
        }
    }

    /// Takes numbers for each chat.
    ///
    /// A SELECT and an UPDATE: this transaction is the only writer, and RETURNING would build a temporary table each
    /// time (docs/decisions/0002-sqlite-tables.md).
    ///
    /// - Returns: the first number of each chat, without chats that do not exist.
    private func takeNumbers(_ wanted: [Chat.ID: Int64]) throws -> [Chat.ID: Int64] {
        let last = try Query(db, "SELECT last_message_number FROM chats WHERE id = ?")
        let update = try Query(
            db,
            """
            UPDATE chats SET last_message_number = ?, messages_count = messages_count + ?, updated_at = ? WHERE id = ?
            """)
        var first: [Chat.ID: Int64] = [:]
        for (chat, count) in wanted {
            try last.rebind(.integer(chat.rawValue))
            guard try last.next() else { continue }
            let highest = last.integer(0)
            first[chat] = highest + 1
            try update.rebind(
                .integer(highest + count), .integer(count), .integer(now.microseconds), .integer(chat.rawValue))
            try update.run()
        }
        return first
    }

    private func addToCounts(_ added: [Tenant.ID: Int64]) throws {
        let update = try Query(
            db, "UPDATE applications SET messages_count = messages_count + ?, updated_at = ? WHERE id = ?")
        for (tenant, count) in added {
            try update.rebind(.integer(count), .integer(now.microseconds), .integer(tenant.rawValue))
            try update.run()
        }
    }
}
