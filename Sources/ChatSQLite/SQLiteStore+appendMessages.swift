package import ChatCore
import GRDB

extension SQLiteStore: MessageLog {
    package func append(_ batch: [NewMessage], at now: Timestamp) async throws -> [Result<AppendedMessage, ChatError>] {
        try await write { db in try MessageAppend(db: db, now: now).append(batch) }
    }
}

/// One batch of messages in one transaction: numbers are taken once a chat, rows are inserted one by one.
private struct MessageAppend {
    let db: Database
    let now: Timestamp

    func append(_ batch: [NewMessage]) throws -> [Result<AppendedMessage, ChatError>] {
        let keys = IdempotencyTable(db: db, scope: .chat, now: now)
        var results = try batch.map { try replay($0, keys) }
        var wanted: [Chat.ID: Int64] = [:]
        for (new, result) in zip(batch, results) where result == nil { wanted[new.chat, default: 0] += 1 }
        var numbers: [Chat.ID: Int64] = [:]
        for (chat, count) in wanted { numbers[chat] = try firstNumber(in: chat, count: count) }
        var added: [Tenant.ID: Int64] = [:]

        for (index, new) in batch.enumerated() where results[index] == nil {
            guard let number = numbers[new.chat] else {
                results[index] = .failure(.notFound)
                continue
            }
            numbers[new.chat] = number + 1
            added[new.tenant, default: 0] += 1
            try Query(
                db, "INSERT INTO messages (chat_id, number, body, created_at) VALUES (?, ?, ?, ?)",
                .integer(new.chat.rawValue), .integer(number), .text(new.body), .integer(now.microseconds)
            ).run()
            try keys.remember(new.key, in: new.chat.rawValue, number: number)
            results[index] = .success(
                AppendedMessage(number: Message.Number(number), createdAt: now, isReplay: false))
        }
        for (tenant, count) in added { try addToCount(of: tenant, count) }
        if batch.contains(where: { $0.key != nil }) { try keys.expire(atMost: 2 * batch.count) }
        return results.map { $0! }
    }

    /// The outcome of an entry whose key was seen before; nil when it is to be stored.
    private func replay(_ new: NewMessage, _ keys: IdempotencyTable) throws -> Result<AppendedMessage, ChatError>? {
        switch try keys.lookUp(new.key, in: new.chat.rawValue) {
        case .unseen: return nil
        case .reused: return .failure(.keyReused)
        case .seen(let number):
            let query = try Query(
                db, "SELECT created_at FROM messages WHERE chat_id = ? AND number = ?",
                .integer(new.chat.rawValue), .integer(number))
            guard try query.next() else { return .failure(.notFound) }
            return .success(
                AppendedMessage(
                    number: Message.Number(number),
                    createdAt: Timestamp(microseconds: query.integer(0)),
                    isReplay: true
                ))
        }
    }

    /// Takes `count` numbers of a chat; nil when there is no such chat.
    private func firstNumber(in chat: Chat.ID, count: Int64) throws -> Int64? {
        let query = try Query(
            db,
            """
            UPDATE chats
            SET last_message_number = last_message_number + ?1, messages_count = messages_count + ?1, updated_at = ?2
            WHERE id = ?3 RETURNING last_message_number
            """,
            .integer(count), .integer(now.microseconds), .integer(chat.rawValue))
        guard try query.next() else { return nil }
        let last = query.integer(0)
        try query.run()
        return last - count + 1
    }

    private func addToCount(of tenant: Tenant.ID, _ count: Int64) throws {
        try Query(
            db, "UPDATE applications SET messages_count = messages_count + ?, updated_at = ? WHERE id = ?",
            .integer(count), .integer(now.microseconds), .integer(tenant.rawValue)
        ).run()
    }
}
