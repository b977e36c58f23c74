import ChatCore
import MySQLClient

extension MySQLStore: ReadStates {
    func mark(_ batch: [ReadMark], within time: Duration) async throws -> [Result<MarkedRead, ChatError>] {
        try await mark(batch, Retry(patience: min(messageLog.patience, time)), isAlone: false)
    }

    /// - Parameter isAlone: whether the batch has one chat, of which another transaction may hold rows: it does not wait for
    ///   them, and is answered `.held`.
    private func mark(
        _ batch: [ReadMark], _ patience: Retry, isAlone: Bool
    ) async throws(ChatError) -> [Result<MarkedRead, ChatError>] {
        var retry = patience
        var mayBeStored = false
        while true {
            do throws(MySQLError) {
                return try await writes.run(within: retry.remaining) { connection in
                    if isAlone {
                        try connection.withoutLockWaits { connection in
                            try connection.transaction { try ReadBatch(batch).carryOut($0) }
                        }
                    } else {
                        try connection.transaction { try ReadBatch(batch).carryOut($0) }
                    }
                }
            } catch {
                // A mark may be carried out twice: whatever became of the first attempt, the next one finds out.
                if error.leavesInDoubt { mayBeStored = true }
                if error.kind == .lockTimeout {
                    guard !isAlone else { return batch.map { _ in .failure(.held) } }
                    return await batch.eachOwner(\.chat.id.rawValue, within: retry) { some throws(ChatError) in
                        try await mark(some, retry, isAlone: true)
                    }
                }
                guard await retry.mayGoOn(after: error) else {
                    throw mayBeStored ? .outcomeUnknown : ChatError(driver: error)
                }
            }
        }
    }

    func readNumbers(of user: User.ID, in chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try await read(.readNumbers) { connection in
            var numbers: [Chat.ID: Int64] = [:]
            for some in chats.chunks(of: 256).map(\.padded) {
                let marks = some.map { _ in "?" }.joined(separator: ", ")
                try connection.query(
                    "SELECT chat_id, number FROM chat_reads WHERE user_id = ? AND chat_id IN (\(marks))",
                    [.user(user)] + some.map { .integer($0.rawValue) }
                ) { row in
                    numbers[Chat.ID(row.integer(0))] = row.integer(1)
                    return true
                }
            }
            return numbers
        }
    }

    func receipts(of users: [User.ID], in chat: Chat.ID) async throws -> [User.ID: Int64] {
        try await read(.readNumbers) { connection in
            var numbers: [User.ID: Int64] = [:]
            for some in users.chunks(of: 256).map(\.padded) {
                let marks = some.map { _ in "?" }.joined(separator: ", ")
                try connection.query(
                    """
                    SELECT user_id, GREATEST(number, COALESCE(peak, 0)) FROM chat_reads
                    WHERE chat_id = ? AND user_id IN (\(marks))
                    """,
                    [.integer(chat.rawValue)] + some.map { .user($0) }
                ) { row in
                    numbers[User.ID(stored: row.text(0))] = row.integer(1)
                    return true
                }
            }
            return numbers
        }
    }

    /// The revisions by a statement before that of the numbers, on one connection.
    func chatHeads(of chats: [Chat.ID]) async throws -> [Chat.ID: ChatHead] {
        try await read(.heads) { [messageLog] connection in
            var revisions: [Int64: Int64] = [:]
            for some in chats.chunks(of: 256).map(\.padded) {
                let marks = some.map { _ in "?" }.joined(separator: ", ")
                try connection.query(
                    "SELECT chat_id, revision FROM chat_heads WHERE chat_id IN (\(marks))",
                    some.map { .integer($0.rawValue) }
                ) { row in
                    revisions[row.integer(0)] = row.integer(1)
                    return true
                }
            }
            var heads: [Chat.ID: ChatHead] = [:]
            for (chat, number) in try messageLog.highestNumbers(of: chats.map(\.rawValue), connection) {
                heads[Chat.ID(chat)] = ChatHead(number: number, revision: revisions[chat] ?? 0)
            }
            return heads
        }
    }

    func tailRows(of chat: Chat.ID, numbers: ClosedRange<Int64>) async throws -> [TailRow] {
        try await read(.tailRows) { connection in
            try connection.rows(
                """
                SELECT number, sender, batch_id >= 0 AND deleted_at IS NULL AND (thread IS NULL OR in_main = 1), mentions
                FROM \(NumberedTable.messages.byNumber) WHERE chat_id = ? AND number BETWEEN ? AND ? ORDER BY number
                """,
                [
                    .integer(chat.rawValue), .integer(numbers.lowerBound),
                    .integer(min(numbers.upperBound, NumberedTable.lastNumber)),
                ]
            ) { row in
                TailRow(
                    number: row.integer(0), sender: row.isNull(1) ? nil : User.ID(stored: row.text(1)),
                    counts: row.integer(2) == 1, mentions: MessageRow.mentions(row, 3))
            }
        }
    }

    func inbox(of user: User.ID, in tenant: Tenant.ID, limit: Int) async throws -> [InboxEntry] {
        try await read(.inbox) { connection in
            try connection.rows(
                """
                SELECT chats.id, chat_number, access,
                    (SELECT newest.created_at
                    FROM messages AS newest FORCE INDEX (index_messages_on_chat_id_and_number)
                    WHERE newest.chat_id = chats.id AND newest.number <= \(NumberedTable.lastNumber)
                    ORDER BY newest.number DESC LIMIT 1),
                    \(MemberTable.columns)
                FROM chat_members JOIN chats ON chats.id = chat_members.chat_id
                WHERE chat_members.application_id = ? AND user_id = ? AND removed_at IS NULL
                AND role <> \(Member.Role.banned.rawValue)
                ORDER BY chat_number DESC LIMIT ?
                """, [.integer(tenant.rawValue), .user(user), .integer(Int64(limit))]
            ) { row in
                InboxEntry(
                    chat: Chat.ID(row.integer(0)), number: Chat.Number(row.integer(1)),
                    member: MemberTable.member(row, from: 4),
                    access: Chat.Access(rawValue: row.integer(2)) ?? .members,
                    lastAt: row.isNull(3) ? nil : Timestamp(microseconds: row.timestamp(3)))
            }
        }
    }

    func chats(_ ids: [Chat.ID]) async throws -> [Chat.ID: Chat] {
        try await read(.chats) { connection in
            var chats: [Chat.ID: Chat] = [:]
            for some in ids.chunks(of: 256).map(\.padded) {
                let marks = some.map { _ in "?" }.joined(separator: ", ")
                try connection.query(
                    """
                    SELECT id, number, created_at, \(ChatSettingsRow.columns) FROM chats
                    WHERE id IN (\(marks)) AND batch_id >= 0
                    """, some.map { .integer($0.rawValue) }
                ) { row in
                    chats[Chat.ID(row.integer(0))] = Chat(
                        number: Chat.Number(row.integer(1)), messagesCount: 0,
                        createdAt: Timestamp(microseconds: row.timestamp(2)),
                        settings: ChatSettingsRow.settings(row, from: 3))
                    return true
                }
            }
            return chats
        }
    }

    func messages(_ numbers: [Chat.ID: Message.Number]) async throws -> [Chat.ID: Message] {
        try await read(.messages) { connection in
            var messages: [Chat.ID: Message] = [:]
            for some in Array(numbers).chunks(of: MessageLookups.most) {
                let keys = some.map { MessageLookups.Key(chat: $0.key, number: $0.value) }
                for (key, message) in try MessageLookups.read(keys, connection) { messages[key.chat] = message }
            }
            return messages
        }
    }
}

/// A batch of marks, within its transaction.
///
/// One statement stores all that rise: the database compares each with its own row, under that row's lock, so that two
/// processes never move one back. Rows are locked in one order, after those of the applications (`TenantLocks`).
private struct ReadBatch {
    private struct Key: Hashable, Comparable {
        let chat: Int64
        let user: User.ID

        static func < (left: Key, right: Key) -> Bool {
            if left.chat != right.chat { return left.chat < right.chat }
            return left.user.text.utf8.lexicographicallyPrecedes(right.user.text.utf8)
        }
    }

    private static let statementPlaces = 64

    let entries: [ReadMark]

    init(_ entries: [ReadMark]) { self.entries = entries }

    private static func key(_ mark: ReadMark) -> Key { Key(chat: mark.chat.id.rawValue, user: mark.user) }

    func carryOut(_ connection: isolated MySQLConnection) throws -> [Result<MarkedRead, ChatError>] {
        let present = try presentChats(connection)
        let open = entries.indices.filter { index in
            let mark = entries[index]
            guard let place = present[mark.chat.id.rawValue] else { return false }
            return place.tenant == mark.chat.tenant.rawValue && place.number == mark.chat.number.rawValue
                && (mark.chat.token.map { place.tokens.contains($0.text) } ?? true)
        }
        var rising: [Key: Int64] = [:]
        for index in open {
            let mark = entries[index]
            // One that may fall takes the row's lock alone.
            rising[Self.key(mark)] = max(rising[Self.key(mark)] ?? 0, mark.lowersFrom == nil ? mark.number : 0)
        }
        let keys = rising.keys.sorted()
        for some in keys.statements(within: connection.facts.maxPacket, values: { $0.user.text.utf8.count }) {
            try connection.execute(
                """
                INSERT INTO chat_reads (chat_id, user_id, number)
                VALUES \(some.map { _ in "(?, ?, ?)" }.joined(separator: ", "))
                ON DUPLICATE KEY UPDATE number = GREATEST(number, VALUES(number))
                """, some.flatMap { [.integer($0.chat), .user($0.user), .integer(rising[$0]!)] })
        }
        var numbers = try stored(keys, connection)
        var results: [Result<MarkedRead, ChatError>] = entries.map { _ in .failure(.notFound) }
        for index in open {
            let (mark, key) = (entries[index], Self.key(entries[index]))
            let before = numbers[key] ?? 0
            let decided = Result { () throws(ChatError) in try mark.decide(on: before) }
            let isShown = present[mark.chat.id.rawValue]?.isShown == true
            results[index] = decided.map { MarkedRead(number: $0, isShown: isShown) }
            guard mark.lowersFrom != nil, case .success(let number) = decided, number != before else { continue }
            // What others were told stays. The assignments are made in this order.
            try connection.execute(
                """
                UPDATE chat_reads SET peak = GREATEST(number, COALESCE(peak, 0)), number = ?
                WHERE chat_id = ? AND user_id = ?
                """,
                [.integer(number), .integer(key.chat), .user(key.user)])
            numbers[key] = number
        }
        return results
    }

    /// The rows, which the transaction has locked.
    private func stored(_ keys: [Key], _ connection: isolated MySQLConnection) throws -> [Key: Int64] {
        var numbers: [Key: Int64] = [:]
        for some in keys.chunks(of: Self.statementPlaces).map(\.padded) {
            try connection.query(
                """
                SELECT chat_id, user_id, number FROM chat_reads
                WHERE \(some.map { _ in "(chat_id = ? AND user_id = ?)" }.joined(separator: " OR "))
                """, some.flatMap { [MySQLValue.integer($0.chat), .user($0.user)] }
            ) { row in
                numbers[Key(chat: row.integer(0), user: User.ID(stored: row.text(1)))] = row.integer(2)
                return true
            }
        }
        return numbers
    }

    private typealias Place = (tenant: Int64, number: Int64, tokens: [String], isShown: Bool)

    /// The chats that are there, whose applications are not deleted before the transaction ends.
    private func presentChats(_ connection: isolated MySQLConnection) throws -> [Int64: Place] {
        let tenants = Set(entries.map(\.chat.tenant.rawValue)).sorted()
        for some in tenants.chunks(of: Self.statementPlaces).map(\.padded) {
            let marks = some.map { _ in "?" }.joined(separator: ", ")
            try connection.query(
                "SELECT id FROM applications FORCE INDEX (PRIMARY) WHERE id IN (\(marks)) LOCK IN SHARE MODE",
                some.map { .integer($0) }
            ) { _ in true }
        }
        var chats: [Int64: Place] = [:]
        for some in Set(entries.map(\.chat.id.rawValue)).sorted().chunks(of: Self.statementPlaces).map(\.padded) {
            try connection.query(
                """
                SELECT chats.id, chats.application_id, chats.number, token, old_token, chats.receipts
                FROM chats JOIN applications ON applications.id = chats.application_id
                WHERE chats.id IN (\(some.map { _ in "?" }.joined(separator: ", "))) AND batch_id >= 0
                AND removed_at IS NULL
                """, some.map { .integer($0) }
            ) { row in
                chats[row.integer(0)] = (
                    row.integer(1), row.integer(2), [row.text(3), row.text(4)],
                    row.integer(5) == Chat.Receipts.members.rawValue
                )
                return true
            }
        }
        return chats
    }
}
