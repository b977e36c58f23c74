import ChatCore
import MySQLClient
import RedisClient

extension ChatChange: NumberedEntry {
    var owner: Int64 { chat.rawValue }
    var sentTo: Chat.ID? { chat }
}

extension MySQLStore: ChatLog {
    func apply(
        _ batch: [ChatChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<ChatChange.Outcome, ChatError>] {
        var append = NumberedAppend(batch, to: messageLog, at: now, within: time) {
            rows, voids, id, stripe, connection in
            let packet = connection.facts.maxPacket
            let content = { (row: NumberedBatch.Row) in
                switch batch[row.entry] {
                case .message(let new): new.content
                }
            }
            let bytes = { (row: NumberedBatch.Row) in content(row).size }
            let tooLarge = rows.filter { StatementSize.fixed + StatementSize.row(bytes($0)) > packet }
            guard tooLarge.isEmpty else { throw EntriesTooLarge(entries: tooLarge.map(\.entry), packet: packet) }
            try Self.insert(voids: voids, at: now, connection)
            for some in rows.statements(within: packet, values: bytes) {
                try connection.execute(
                    """
                    INSERT INTO messages (chat_id, number, body, created_at, updated_at, batch_id, sender, metadata, thread,
                        reply_to, in_main, mentions)
                    VALUES \(some.map { _ in "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" }.joined(separator: ", "))
                    """,
                    some.flatMap { row -> [MySQLValue] in
                        [
                            .integer(row.place.owner), .integer(row.place.number), .text(content(row).body),
                            .timestamp(now.microseconds), .timestamp(now.microseconds), .integer(id),
                            content(row).sender.map { .text($0.text) } ?? .null,
                            content(row).metadata.map { .text($0) } ?? .null,
                            content(row).thread.map { .integer($0.rawValue) } ?? .null,
                            content(row).replyTo.map { .integer($0.rawValue) } ?? .null,
                            content(row).isInMain ? .integer(1) : .null,
                            content(row).mentions.map { .text($0.json) } ?? .null,
                        ]
                    })
            }
            try ThreadTable.add(
                rows.compactMap { row in content(row).thread.map { (row.place, $0.rawValue) } }, connection)
            try ApplicationCounts(stripe: stripe).add(
                messages: rows.map { batch[$0.entry].tenant.rawValue }, connection)
        }
        let fates = try await append.run()
        let results = fates.map { fate -> Result<ChatChange.Outcome, ChatError> in
            switch fate {
            case .stored(let number):
                .success(.message(AppendedMessage(number: Message.Number(number), createdAt: now, isReplay: false)))
            case .replayed(let number, let time):
                .success(.message(AppendedMessage(number: Message.Number(number), createdAt: time, isReplay: true)))
            case .refused(let error): .failure(error)
            }
        }
        let told = await tellingThreads(of: batch, results)
        publish(batch, told)
        return told
    }

    /// The new replies get their roots, by one read for all.
    private func tellingThreads(
        of batch: [ChatChange], _ results: [Result<ChatChange.Outcome, ChatError>]
    ) async -> [Result<ChatChange.Outcome, ChatError>] {
        let threads = zip(batch, results).map { change, result -> ThreadTable.Key? in
            guard case .message(let new) = change, case .success(.message(let stored)) = result, !stored.isReplay
            else { return nil }
            return ThreadTable.Key(chat: new.chat, thread: new.content.thread)
        }
        let found = await self.threads(threads)
        guard !found.isEmpty else { return results }
        return zip(threads, results).map { thread, result in
            guard let thread, case .success(.message(var appended)) = result else { return result }
            appended.root = found[thread]
            return .success(.message(appended))
        }
    }

    /// Sends without waiting: Redis' counts are a copy for the Rails application, and a stream finds a message that the
    /// bus loses.
    private func publish(_ batch: [ChatChange], _ results: [Result<ChatChange.Outcome, ChatError>]) {
        let stored = batch.stored(results)
        guard !stored.isEmpty else { return }
        let counts = stored.map {
            RedisCommand("INCRBY", RedisKey.messagesCount(of: $0.key.rawValue), String($0.value.count))
        }
        redis.post(counts + bus.publish(stored))
        writing.note(stored.values.reduce(0) { $0 + $1.count })
    }
}
