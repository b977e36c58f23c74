import ChatCore
import MySQLClient

extension RevisionBatch {
    /// The pins that a batch may change. Their chats' heads are locked: no other transaction pins a message there.
    struct Pins {
        fileprivate(set) var pins: [Key: Pin] = [:]
        fileprivate(set) var counts: [Chat.ID: Int] = [:]
        /// Each with the revision of its change.
        private(set) var changed: [Key: Int64] = [:]

        /// - Parameter pin: nil: it is taken back.
        mutating func set(_ pin: Pin?, at key: Key, revision: Int64) {
            drop(key)
            pins[key] = pin
            if pin != nil { counts[key.chat, default: 0] += 1 }
            changed[key] = revision
        }

        /// The message is deleted.
        mutating func drop(_ key: Key) {
            if pins.removeValue(forKey: key) != nil { counts[key.chat, default: 0] -= 1 }
        }
    }

    /// Locks the heads of the chats in which the open entries pin messages.
    func pins(of plan: Plan, _ connection: isolated MySQLConnection) throws -> Pins {
        var pins = Pins()
        let keys = Set(
            entries.indices.filter { plan.outcomes[$0] == nil && entries[$0].pinAction != nil }
                .map { entries[$0].messageKey }
        ).sorted()
        guard !keys.isEmpty else { return pins }
        let chats = Set(keys.map(\.chat))
        let none = Dictionary(uniqueKeysWithValues: chats.map { ($0, (changed: Int64(0), deleted: Int64(0))) })
        _ = try ChatHeads.raise(none, connection)
        for some in chats.map(\.rawValue).sorted().chunks(of: Self.statementPlaces).map(\.padded) {
            try connection.query(
                """
                SELECT chat_id, COUNT(*) FROM pins WHERE chat_id IN (\(some.map { _ in "?" }.joined(separator: ", ")))
                GROUP BY chat_id
                """, some.map { .integer($0) }
            ) { row in
                pins.counts[Chat.ID(row.integer(0))] = Int(row.integer(1))
                return true
            }
        }
        for some in keys.chunks(of: Self.statementPlaces).map(\.padded) {
            try connection.query(
                """
                SELECT number, pinned_by, pinned_at, chat_id FROM pins
                WHERE \(some.map { _ in "(chat_id = ? AND number = ?)" }.joined(separator: " OR "))
                """, some.flatMap { [.integer($0.chat.rawValue), .integer($0.number.rawValue)] }
            ) { row in
                let pin = Pin(row)
                pins.pins[Key(chat: Chat.ID(row.integer(3)), number: pin.number)] = pin
                return true
            }
        }
        return pins
    }

    /// - Parameter bases: where each chat's revisions begin.
    func store(
        _ pins: Pins, counting bases: [Chat.ID: Int64], _ connection: isolated MySQLConnection
    ) throws {
        let changed = pins.changed.sorted { $0.key < $1.key }
        guard !changed.isEmpty else { return }
        try delete(from: "pins", changed.map(\.key), connection)
        let added = changed.compactMap { change in pins.pins[change.key].map { (key: change.key, pin: $0) } }
        for some in added.statements(within: connection.facts.maxPacket, values: { _ in User.ID.maxLength }) {
            try connection.execute(
                """
                INSERT INTO pins (chat_id, number, pinned_by, pinned_at)
                VALUES \(some.map { _ in "(?, ?, ?, ?)" }.joined(separator: ", "))
                """,
                some.flatMap { key, pin -> [MySQLValue] in
                    [
                        .integer(key.chat.rawValue), .integer(key.number.rawValue), pin.user.map { .user($0) } ?? .null,
                        .timestamp(pin.at.microseconds),
                    ]
                })
        }
        try ChatHeads.note(
            changed.map { key, revision in
                (
                    thing: ChatHeads.Thing(chat: key.chat, kind: .pin, item: key.number.rawValue),
                    revision: Message.revision(revision, from: bases[key.chat])
                )
            }, batch: id, connection)
    }
}

extension Pin {
    /// - Parameter row: the number, the user and the time.
    fileprivate init(_ row: borrowing MySQLRow) {
        self.init(
            number: Message.Number(row.integer(0)), user: row.isNull(1) ? nil : User.ID(stored: row.text(1)),
            at: Timestamp(microseconds: row.timestamp(2)))
    }
}

extension MySQLStore {
    func pins(of chat: Chat.ID) async throws -> [Pin] {
        try await read(.pins) { connection in
            try connection.rows(
                """
                SELECT number, pinned_by, pinned_at FROM pins WHERE chat_id = ? ORDER BY number LIMIT \(2 * Pin.most)
                """, [.integer(chat.rawValue)]
            ) { Pin($0) }
        }
    }
}
