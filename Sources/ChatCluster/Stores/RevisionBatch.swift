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

    static let statementPlaces = 64

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
        let (locked, ids) = try lockMessages(of: plan, connection)
        // That attempt may have been committed late. It has ended by now: it held these locks.
        if let doubtful, try isStored(doubtful, connection) { return doubtful }
        var steps = Steps(
            locked, reactions: try reactions(to: locked, of: plan, connection), pins: try pins(of: plan, connection))
        for (index, change) in entries.enumerated() where plan.outcomes[index] == nil {
            plan.outcomes[index] = outcome(of: change, isSeen: seen.contains(index), standings[index], &steps)
        }
        let bases = try ChatHeads.raise(steps.counts, connection)
        let reactions = try store(steps.changedReactions, counting: bases, connection)
        plan.messages = steps.messages(counting: bases, reactions)
        for index in entries.indices {
            plan.outcomes[index] = outcome(at: index, of: plan, counting: bases)
        }
        try store(plan.messages, of: steps, ids, connection)
        try store(steps.versions(counting: bases), connection)
        try store(steps.pins, counting: bases, connection)
        let edited = steps.edited.sorted()
        try MySQLStore.dropBlocks(covering: edited, connection)
        let deleted = edited.filter { plan.messages[$0]?.deletion != nil }
        if !deleted.isEmpty {
            for remains in MessageRemains.allCases { try remove(remains, of: deleted, connection) }
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
    ) throws -> (messages: [Key: Message], ids: [Key: Int64]) {
        var messages: [Key: Message] = [:]
        var ids: [Key: Int64] = [:]
        let keys = Set(entries.indices.filter { plan.outcomes[$0] == nil }.map { entries[$0].messageKey }).sorted()
        for some in keys.chunks(of: Self.statementPlaces).map(\.padded) {
            let condition = some.map { _ in "(chat_id = ? AND number = ?)" }.joined(separator: " OR ")
            try connection.query(
                """
                SELECT \(MessageRow.columns), chat_id, id FROM \(NumberedTable.messages.byNumber)
                WHERE batch_id >= 0 AND (\(condition)) FOR UPDATE
                """, some.flatMap { [.integer($0.chat.rawValue), .integer($0.number.rawValue)] }
            ) { row in
                let message = MessageRow.message(row)
                let key = Key(chat: Chat.ID(row.integer(MessageRow.columnCount)), number: message.number)
                messages[key] = message
                ids[key] = row.integer(MessageRow.columnCount + 1)
                return true
            }
        }
        return (messages, ids)
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
            guard let row, row.revision >= message.lastRevision else { return false }
            if row.batch == id { return true }
        }
        if !entries.contains(where: \.changesContent) { return false }
        throw ChatError.outcomeUnknown
    }

    private func outcome(
        of change: MessageChange, isSeen: Bool, _ standing: Standing?, _ steps: inout Steps
    ) -> Outcome {
        let key = change.messageKey
        guard let message = steps.current[key] else { return .failure(.notFound) }
        return Result { () throws(ChatError) in
            try change.checkSees(standing)
            if isSeen { return ChangedMessage(message: message, isChanged: false, isReplay: true) }
            if let reaction = change.reaction {
                let reactions = steps.reactions[key] ?? MessageReactions(message)
                let isChanged = try change.decide(reaction, to: message, among: reactions, as: standing)
                if isChanged { steps.add(reaction, to: key) }
                return ChangedMessage(message: message, isChanged: isChanged)
            }
            if let action = change.pinAction {
                let (pin, isChanged) = try change.decide(
                    action, of: message, now: steps.pins.pins[key], among: steps.pins.counts[key.chat] ?? 0,
                    as: standing, at: now)
                return ChangedMessage(
                    message: message, isChanged: isChanged, pin: pin,
                    pinRevision: isChanged ? steps.set(pin, at: key) : 0)
            }
            guard let new = try change.decide(on: message, as: standing, at: now) else {
                return ChangedMessage(message: message, isChanged: false)
            }
            return ChangedMessage(
                message: steps.add(new, at: key, keepsVersion: change.rules.keepsVersions, at: now), isChanged: true)
        }
    }

    /// Its message has the reactions as the batch leaves them: before, they have no text.
    private func outcome(at index: Int, of plan: Plan, counting bases: [Chat.ID: Int64]) -> Outcome? {
        let outcome = plan.outcomes[index]?.counting(from: bases, in: entries[index].chat.id)
        guard let last = plan.messages[entries[index].messageKey] else { return outcome }
        return outcome?.mapMessage { message in
            message.reactions = last.reactions
            message.reactionsRevision = last.reactionsRevision
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
