import ChatCore
import MySQLClient

extension MessageChange: NumberedEntry {
    var owner: Int64 { chat.id.rawValue }
    var origin: Origin? { nil }
    var tenant: Tenant.ID { chat.tenant }
    var sentTo: Chat.ID? { chat.id }
}

/// One attempt to carry out a batch of changes, within its transaction.
///
/// It locks in one order: what `AuthorCheck` shares for its users, the messages, the heads of the chats, the heads of their
/// search blocks. Whoever else locks some of these takes them in this order too (`TenantLocks`).
struct RevisionBatch {
    typealias Key = MessageLookups.Key
    typealias Outcome = Result<ChangedMessage, ChatError>

    /// What an attempt stores.
    struct Plan: Sendable {
        var outcomes: [Outcome?]
        /// The changed messages, each as it is last.
        var messages: [Key: Message] = [:]
        var changes: ChangeRecords.Missing?
    }

    private static let statementPlaces = 64

    let entries: [MessageChange]
    /// Of all attempts.
    let id: Int64
    let now: Timestamp
    let keys: IdempotencyTable

    init(_ entries: [MessageChange], id: Int64, at now: Timestamp) {
        self.entries = entries
        self.id = id
        self.now = now
        self.keys = IdempotencyTable(scope: .chat, now: now)
    }

    /// - Parameter doubtful: of an attempt before, whose commit was not confirmed.
    func carryOut(
        after doubtful: Plan?, _ records: ChangeRecords, _ connection: isolated MySQLConnection
    ) throws -> Plan {
        var plan = Plan(outcomes: tooLarge(connection))
        let seen = try findKeys(&plan, connection)
        try refuse(&plan, connection)
        let standings = try standings(&plan, connection)
        var current = try lockMessages(of: plan, connection)
        // That attempt may have been committed late. It has ended by now: it held these locks.
        if let doubtful, try isStored(doubtful, connection) { return doubtful }
        var steps = Steps()
        for (index, change) in entries.enumerated() where plan.outcomes[index] == nil {
            plan.outcomes[index] = outcome(of: change, isSeen: seen.contains(index), standings[index], &current, &steps)
        }
        let bases = try raiseHeads(by: steps, connection)
        for index in entries.indices {
            plan.outcomes[index] = plan.outcomes[index]?.counting(from: bases, in: entries[index].chat.id)
        }
        plan.messages = steps.messages(counting: bases)
        try store(plan.messages, connection)
        try store(steps.versions(counting: bases), connection)
        for (key, message) in plan.messages.sorted(by: { $0.key < $1.key }) {
            if message.deletion == nil {
                try MySQLStore.dropBlock(covering: key.number.rawValue, of: key.chat, connection)
            } else {
                for remains in MessageRemains.allCases { try remove(remains, of: key, connection) }
            }
        }
        try keys.remember(newTraces(plan, seen), connection)
        if !plan.messages.isEmpty {
            let missing = records.missing(Set(plan.messages.keys.map(\.chat.rawValue)))
            try LogChanges.record(
                missing.owners.map { OwnedNumber(owner: $0, number: 0) }, of: .chat, batch: id, connection)
            plan.changes = missing
        }
        return plan
    }

    /// Refuses what fits into no statement.
    private func tooLarge(_ connection: isolated MySQLConnection) -> [Outcome?] {
        let packet = connection.facts.maxPacket
        return entries.map { change in
            guard StatementSize.fixed + StatementSize.row(change.bytes) > packet else { return nil }
            let sentence = "Body is too long for the database (max_allowed_packet is \(packet) bytes)"
            return .failure(.invalid([sentence]))
        }
    }

    /// - Returns: the entries whose keys are known, and mean the same change.
    private func findKeys(_ plan: inout Plan, _ connection: isolated MySQLConnection) throws -> Set<Int> {
        let keyed = entries.indices.filter { entries[$0].key != nil }
        guard !keyed.isEmpty else { return [] }
        let places = keyed.map { IdempotencyTable.Place(owner: entries[$0].owner, key: entries[$0].key!.text) }
        let traces = try keys.traces(of: places, connection)
        var seen: Set<Int> = []
        for (index, place) in zip(keyed, places) {
            guard let trace = traces[place], !trace.isExpired else { continue }
            if trace.fingerprint == entries[index].key!.fingerprint {
                seen.insert(index)
            } else {
                plan.outcomes[index] = .failure(.keyReused)
            }
        }
        return seen
    }

    private func newTraces(_ plan: Plan, _ seen: Set<Int>) -> [NewTrace] {
        entries.indices.compactMap { index in
            guard let key = entries[index].key, !seen.contains(index), case .success = plan.outcomes[index] else {
                return nil
            }
            return NewTrace(owner: entries[index].owner, key: key, number: entries[index].number.rawValue)
        }
    }

    private func refuse(_ plan: inout Plan, _ connection: isolated MySQLConnection) throws {
        let open = entries.indices.filter { plan.outcomes[$0] == nil }
        for (index, error) in try AuthorCheck.refusals(of: open, in: entries, connection) {
            plan.outcomes[index] = .failure(error)
        }
    }

    /// What the users of the entries are in their chats, which are locked. Refuses entries whose chat is gone, or not the
    /// one that the client meant.
    private func standings(
        _ plan: inout Plan, _ connection: isolated MySQLConnection
    ) throws -> [Int: Standing] {
        let open = entries.indices.filter { plan.outcomes[$0] == nil }
        var chats: [Int64: (place: [Int64], tokens: [String], access: Chat.Access)] = [:]
        for some in Set(open.map { entries[$0].owner }).sorted().chunks(of: Self.statementPlaces).map(\.padded) {
            try connection.query(
                """
                SELECT chats.id, chats.application_id, chats.number, access, token, old_token
                FROM chats JOIN applications ON applications.id = chats.application_id
                WHERE chats.id IN (\(some.map { _ in "?" }.joined(separator: ", "))) AND batch_id >= 0
                AND removed_at IS NULL
                """, some.map { .integer($0) }
            ) { row in
                chats[row.integer(0)] = (
                    [row.integer(1), row.integer(2)], [row.text(4), row.text(5)],
                    Chat.Access(rawValue: row.integer(3)) ?? .members
                )
                return true
            }
        }
        var standings: [Int: Standing] = [:]
        for index in open {
            let change = entries[index]
            guard let chat = chats[change.owner],
                chat.place == [change.chat.tenant.rawValue, change.chat.number.rawValue],
                change.chat.token.map({ chat.tokens.contains($0.text) }) ?? true
            else {
                plan.outcomes[index] = .failure(.notFound)
                continue
            }
            guard let user = change.author.user else { continue }
            let member = try MemberTable.member(user, in: change.chat.id, connection)
            standings[index] = Standing(access: chat.access, member: member)
        }
        return standings
    }

    /// Locks the rows of the open entries' messages.
    private func lockMessages(
        of plan: Plan, _ connection: isolated MySQLConnection
    ) throws -> [Key: Message] {
        var messages: [Key: Message] = [:]
        let keys = Set(entries.indices.filter { plan.outcomes[$0] == nil }.map { entries[$0].messageKey }).sorted()
        for some in keys.chunks(of: Self.statementPlaces).map(\.padded) {
            let condition = some.map { _ in "(chat_id = ? AND number = ?)" }.joined(separator: " OR ")
            try connection.query(
                """
                SELECT \(MessageRow.columns), chat_id FROM \(NumberedTable.messages.byNumber)
                WHERE batch_id >= 0 AND (\(condition)) FOR UPDATE
                """, some.flatMap { [.integer($0.chat.rawValue), .integer($0.number.rawValue)] }
            ) { row in
                let message = MessageRow.message(row)
                messages[Key(chat: Chat.ID(row.integer(MessageRow.columnCount)), number: message.number)] = message
                return true
            }
        }
        return messages
    }

    /// Whether the transaction of an attempt was committed: if so, all of its rows are there, or were changed once more.
    ///
    /// - Throws: `ChatError.outcomeUnknown` if others have changed all of its messages since.
    private func isStored(_ plan: Plan, _ connection: isolated MySQLConnection) throws -> Bool {
        guard !plan.messages.isEmpty else { return false }
        for (key, message) in plan.messages {
            let row = try connection.first(
                "SELECT batch_id, revision FROM chat_changes WHERE chat_id = ? AND kind = ? AND item = ? AND user_id = ''",
                [
                    .integer(key.chat.rawValue), .integer(ChangedItem.Kind.message.rawValue),
                    .integer(key.number.rawValue),
                ]
            ) { (batch: $0.integer(0), revision: $0.integer(1)) }
            guard let row, row.revision >= message.revision else { return false }
            if row.batch == id { return true }
        }
        throw ChatError.outcomeUnknown
    }

    private func outcome(
        of change: MessageChange, isSeen: Bool, _ standing: Standing?, _ current: inout [Key: Message],
        _ steps: inout Steps
    ) -> Outcome {
        let key = change.messageKey
        guard let message = current[key] else { return .failure(.notFound) }
        return Result { () throws(ChatError) in
            try change.checkSees(standing)
            if isSeen { return ChangedMessage(message: message, isChanged: false, isReplay: true) }
            guard var new = try change.decide(on: message, as: standing, at: now) else {
                return ChangedMessage(message: message, isChanged: false)
            }
            new.revision = steps.next(in: key.chat)
            steps.add(new, at: key, replacing: message, keepsVersion: change.rules.keepsVersions, at: now)
            current[key] = new
            return ChangedMessage(message: new, isChanged: true)
        }
    }

    /// Raises the head of each changed chat, once, which locks it until the commit.
    ///
    /// - Returns: where each chat's revisions begin.
    private func raiseHeads(
        by steps: Steps, _ connection: isolated MySQLConnection
    ) throws -> [Chat.ID: Int64] {
        var bases: [Chat.ID: Int64] = [:]
        let counts = steps.counts.sorted { $0.key.rawValue < $1.key.rawValue }
        for some in counts.statements(within: connection.facts.maxPacket) {
            try connection.execute(
                """
                INSERT INTO chat_heads (chat_id, revision, deleted_count)
                VALUES \(some.map { _ in "(?, ?, ?)" }.joined(separator: ", "))
                ON DUPLICATE KEY UPDATE revision = revision + VALUES(revision),
                    deleted_count = deleted_count + VALUES(deleted_count)
                """,
                some.flatMap { [.integer($0.key.rawValue), .integer($0.value.changed), .integer($0.value.deleted)] })
        }
        for some in counts.map(\.key.rawValue).chunks(of: Self.statementPlaces).map(\.padded) {
            try connection.query(
                """
                SELECT chat_id, revision FROM chat_heads
                WHERE chat_id IN (\(some.map { _ in "?" }.joined(separator: ", "))) FOR UPDATE
                """, some.map { .integer($0) }
            ) { row in
                let chat = Chat.ID(row.integer(0))
                bases[chat] = row.integer(1) - (steps.counts[chat]?.changed ?? 0)
                return true
            }
        }
        return bases
    }

    private func store(_ messages: [Key: Message], _ connection: isolated MySQLConnection) throws {
        let sorted = messages.sorted { $0.key < $1.key }
        for (key, message) in sorted {
            try connection.execute(
                """
                UPDATE messages SET body = ?, metadata = ?, edited_at = ?, deleted_at = ?, deleted_by = ?,
                    content_revision = ?, updated_at = ?
                WHERE chat_id = ? AND number = ?
                """,
                [
                    .text(message.body), message.content.metadata.map { .text($0) } ?? .null,
                    message.editedAt.map { .timestamp($0.microseconds) } ?? .null,
                    message.deletion.map { .timestamp($0.at.microseconds) } ?? .null,
                    message.deletion?.by.map { .user($0) } ?? .null, .integer(message.revision),
                    .timestamp(now.microseconds), .integer(key.chat.rawValue), .integer(key.number.rawValue),
                ])
        }
        for some in sorted.statements(within: connection.facts.maxPacket) {
            try connection.execute(
                """
                INSERT INTO chat_changes (chat_id, kind, item, user_id, revision, batch_id)
                VALUES \(some.map { _ in "(?, ?, ?, '', ?, ?)" }.joined(separator: ", "))
                ON DUPLICATE KEY UPDATE revision = VALUES(revision), batch_id = VALUES(batch_id)
                """,
                some.flatMap { key, message -> [MySQLValue] in
                    [
                        .integer(key.chat.rawValue), .integer(ChangedItem.Kind.message.rawValue),
                        .integer(key.number.rawValue), .integer(message.revision), .integer(id),
                    ]
                })
        }
    }

    private func store(
        _ versions: [(key: Key, version: MessageVersion)], _ connection: isolated MySQLConnection
    ) throws {
        let size = { (row: (key: Key, version: MessageVersion)) in
            row.version.body.utf8.count + (row.version.metadata?.utf8.count ?? 0)
        }
        for some in versions.statements(within: connection.facts.maxPacket, values: size) {
            try connection.execute(
                """
                INSERT INTO message_versions (chat_id, number, revision, body, metadata, created_at, replaced_at)
                VALUES \(some.map { _ in "(?, ?, ?, ?, ?, ?, ?)" }.joined(separator: ", "))
                """,
                some.flatMap { key, version -> [MySQLValue] in
                    [
                        .integer(key.chat.rawValue), .integer(key.number.rawValue), .integer(version.revision),
                        .text(version.body), version.metadata.map { .text($0) } ?? .null,
                        .timestamp(version.createdAt.microseconds), .timestamp(version.replacedAt.microseconds),
                    ]
                })
        }
    }

    private func remove(
        _ remains: MessageRemains, of key: Key, _ connection: isolated MySQLConnection
    ) throws {
        switch remains {
        case .body, .metadata: break  // The message is stored without them.
        case .versions:
            try connection.execute(
                "DELETE FROM message_versions WHERE chat_id = ? AND number = ?",
                [.integer(key.chat.rawValue), .integer(key.number.rawValue)])
        case .searchBlocks: try MySQLStore.dropBlock(covering: key.number.rawValue, of: key.chat, connection)
        case .engine: break  // Its feed follows `chat_changes`.
        case .liveWindow: break  // `revise` publishes the message as it is then.
        case .jobs: break  // No job has a message in its payload.
        }
    }
}

extension MessageChange {
    var messageKey: MessageLookups.Key { MessageLookups.Key(chat: chat.id, number: number) }
}

extension MessageLookups.Key: Comparable {
    static func < (left: Self, right: Self) -> Bool {
        (left.chat.rawValue, left.number.rawValue) < (right.chat.rawValue, right.number.rawValue)
    }
}
