import ChatCore
import MySQLClient

/// The revisions of chats: their heads, and the last change of each thing. A head stays locked until the transaction has
/// ended, so it comes after all other rows of chats, members and messages.
enum ChatHeads {
    /// What a transaction has changed.
    struct Thing: Hashable {
        let chat: Chat.ID
        let kind: ChangedItem.Kind
        /// A message's number; 0 for what has none.
        var item: Int64 = 0
        /// Of a member.
        var user: User.ID?
    }

    /// Raises the heads, each once.
    ///
    /// - Returns: where each chat's revisions begin.
    static func raise(
        _ counts: [Chat.ID: (changed: Int64, deleted: Int64)], _ connection: isolated MySQLConnection
    ) throws -> [Chat.ID: Int64] {
        var bases: [Chat.ID: Int64] = [:]
        let sorted = counts.sorted { $0.key.rawValue < $1.key.rawValue }
        for some in sorted.statements(within: connection.facts.maxPacket) {
            try connection.execute(
                """
                INSERT INTO chat_heads (chat_id, revision, deleted_count)
                VALUES \(some.map { _ in "(?, ?, ?)" }.joined(separator: ", "))
                ON DUPLICATE KEY UPDATE revision = revision + VALUES(revision),
                    deleted_count = deleted_count + VALUES(deleted_count)
                """,
                some.flatMap { [.integer($0.key.rawValue), .integer($0.value.changed), .integer($0.value.deleted)] })
        }
        for some in sorted.map(\.key.rawValue).chunks(of: RevisionBatch.statementPlaces).map(\.padded) {
            try connection.query(
                """
                SELECT chat_id, revision FROM chat_heads
                WHERE chat_id IN (\(some.map { _ in "?" }.joined(separator: ", "))) FOR UPDATE
                """, some.map { .integer($0) }
            ) { row in
                let chat = Chat.ID(row.integer(0))
                bases[chat] = row.integer(1) - (counts[chat]?.changed ?? 0)
                return true
            }
        }
        return bases
    }

    /// Stores the revision of the last change of each thing.
    ///
    /// - Parameter batch: tells a writer that has lost its connection that its change is stored.
    static func note(
        _ things: [(thing: Thing, revision: Int64)], batch: Int64, _ connection: isolated MySQLConnection
    ) throws {
        let size = { (row: (thing: Thing, revision: Int64)) in row.thing.user?.text.utf8.count ?? 0 }
        for some in things.statements(within: connection.facts.maxPacket, values: size) {
            try connection.execute(
                """
                INSERT INTO chat_changes (chat_id, kind, item, user_id, revision, batch_id)
                VALUES \(some.map { _ in "(?, ?, ?, ?, ?, ?)" }.joined(separator: ", "))
                ON DUPLICATE KEY UPDATE revision = VALUES(revision), batch_id = VALUES(batch_id)
                """,
                some.flatMap { thing, revision -> [MySQLValue] in
                    [
                        .integer(thing.chat.rawValue), .integer(thing.kind.rawValue), .integer(thing.item),
                        thing.user.map { .user($0) } ?? .bytes([]), .integer(revision), .integer(batch),
                    ]
                })
        }
    }

    /// Takes a revision for each of the things, in their order.
    ///
    /// - Returns: the revisions that their chats have reached.
    static func take(_ things: [Thing], _ connection: isolated MySQLConnection) throws -> [Chat.ID: Int64] {
        guard !things.isEmpty else { return [:] }
        var counts: [Chat.ID: (changed: Int64, deleted: Int64)] = [:]
        var places: [(thing: Thing, place: Int64)] = []
        for thing in things where !places.contains(where: { $0.thing == thing }) {
            counts[thing.chat, default: (0, 0)].changed += 1
            places.append((thing, counts[thing.chat]!.changed))
        }
        let bases = try raise(counts, connection)
        let rows = places.map { (thing: $0.thing, revision: (bases[$0.thing.chat] ?? 0) + $0.place) }
        try note(
            rows.sorted { ($0.thing.chat.rawValue, $0.revision) < ($1.thing.chat.rawValue, $1.revision) },
            batch: BatchID.random(), connection)
        return Dictionary(rows.map { ($0.thing.chat, $0.revision) }, uniquingKeysWith: max)
    }
}

extension TenantChange {
    /// What it changes of a chat for all who see it.
    var thing: ChatHeads.Thing? {
        switch self {
        case .member(let change): ChatHeads.Thing(chat: change.chat.id, kind: .member, user: change.user)
        case .chat(let update): ChatHeads.Thing(chat: update.chat.id, kind: .chat)
        case .audited(let change, _): change.thing
        case .create, .update, .addKey, .revokeKey, .useKeys, .users, .useTokenKeys, .rotate, .suspend, .resume: nil
        }
    }
}
