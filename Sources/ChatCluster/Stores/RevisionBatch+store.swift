import ChatCore
import MySQLClient

/// What a batch stores. Statements are of many rows, as each is a round trip with locks held.
extension RevisionBatch {
    private static let contentColumns = [
        "body", "metadata", "edited_at", "deleted_at", "deleted_by", "content_revision", "mentions",
    ]
    private static let reactionColumns = ["reactions", "reactions_revision"]

    /// - Parameter ids: of the rows.
    func store(
        _ messages: [Key: Message], of steps: Steps, _ ids: [Key: Int64], _ connection: isolated MySQLConnection
    ) throws {
        let sorted = messages.sorted { $0.key < $1.key }
        func rows(_ isWanted: (Key, Message) -> Bool, _ values: (Message) -> [MySQLValue]) -> [Row] {
            sorted.compactMap { key, message in
                guard isWanted(key, message), let id = ids[key] else { return nil }
                return (id, values(message))
            }
        }
        let contents = rows({ key, _ in steps.edited.contains(key) }) { message in
            [
                .text(message.body), message.content.metadata.map { .text($0) } ?? .null,
                message.editedAt.map { .timestamp($0.microseconds) } ?? .null,
                message.deletion.map { .timestamp($0.at.microseconds) } ?? .null,
                message.deletion?.by.map { .user($0) } ?? .null, .integer(message.revision),
                message.content.mentions.map { .text($0.json) } ?? .null,
            ]
        }
        try update(Self.contentColumns, of: contents, connection)
        let reactions = rows({ $1.reactionsRevision > 0 && (steps.reacted.contains($0) || $1.deletion != nil) }) {
            [$0.reactions.map { .text($0) } ?? .null, .integer($0.reactionsRevision)]
        }
        try update(Self.reactionColumns, of: reactions, connection)
        try ChatHeads.note(
            sorted.map { key, message in
                (
                    thing: ChatHeads.Thing(chat: key.chat, kind: .message, item: key.number.rawValue),
                    revision: message.lastRevision
                )
            }, batch: id, connection)
    }

    /// A row's id, and its values in the order of the columns.
    private typealias Row = (id: Int64, values: [MySQLValue])

    private func update(
        _ columns: [String], of rows: [Row], _ connection: isolated MySQLConnection
    ) throws {
        let size = { (row: Row) in row.values.reduce(48 * columns.count) { $0 + $1.size } }
        for some in rows.statements(within: connection.facts.maxPacket, values: size) {
            let cases = some.map { _ in "WHEN ? THEN ?" }.joined(separator: " ")
            let changes = columns.map { "\($0) = CASE id \(cases) ELSE \($0) END" }
            let values = columns.indices.flatMap { column in
                some.flatMap { [.integer($0.id), $0.values[column]] }
            }
            try connection.execute(
                """
                UPDATE messages FORCE INDEX (PRIMARY) SET \(changes.joined(separator: ", ")), updated_at = ?
                WHERE id IN (\(some.map { _ in "?" }.joined(separator: ", ")))
                """, values + [.timestamp(now.microseconds)] + some.map { .integer($0.id) })
        }
    }

    func store(
        _ versions: [(key: Key, version: MessageVersion)], _ connection: isolated MySQLConnection
    ) throws {
        let size = { (row: (key: Key, version: MessageVersion)) in
            row.version.body.utf8.count + (row.version.metadata?.utf8.count ?? 0) + (row.version.mentions?.size ?? 0)
        }
        for some in versions.statements(within: connection.facts.maxPacket, values: size) {
            try connection.execute(
                """
                INSERT INTO message_versions (chat_id, number, revision, body, metadata, created_at, replaced_at, mentions)
                VALUES \(some.map { _ in "(?, ?, ?, ?, ?, ?, ?, ?)" }.joined(separator: ", "))
                """,
                some.flatMap { key, version -> [MySQLValue] in
                    [
                        .integer(key.chat.rawValue), .integer(key.number.rawValue), .integer(version.revision),
                        .text(version.body), version.metadata.map { .text($0) } ?? .null,
                        .timestamp(version.createdAt.microseconds), .timestamp(version.replacedAt.microseconds),
                        version.mentions.map { .text($0.json) } ?? .null,
                    ]
                })
        }
    }

    func remove(
        _ remains: MessageRemains, of keys: [Key], _ connection: isolated MySQLConnection
    ) throws {
        switch remains {
        case .body, .metadata, .mentions: break  // The messages are stored without them.
        case .versions: try delete(from: "message_versions", keys, connection)
        case .reactions: try delete(from: "message_reactions", keys, connection)
        case .pin: try delete(from: "pins", keys, connection)
        case .searchBlocks: break  // Those of all edited messages are dropped.
        case .engine: break  // Its feed follows `chat_changes`.
        case .liveWindow: break  // `revise` publishes the messages as they are then.
        case .jobs: break  // No job has a message in its payload.
        }
    }

    func delete(
        from table: String, _ keys: [Key], _ connection: isolated MySQLConnection
    ) throws {
        for some in keys.chunks(of: Self.statementPlaces).map(\.padded) {
            let condition = some.map { _ in "(chat_id = ? AND number = ?)" }.joined(separator: " OR ")
            // A walk through a small table would wait for the rows of others.
            try connection.execute(
                "DELETE \(table) FROM \(table) FORCE INDEX (PRIMARY) WHERE \(condition)",
                some.flatMap { [.integer($0.chat.rawValue), .integer($0.number.rawValue)] })
        }
    }
}

extension MySQLValue {
    /// Bytes of its text.
    fileprivate var size: Int {
        switch self {
        case .text(let text): text.utf8.count
        case .bytes(let bytes): bytes.count
        default: 0
        }
    }
}
