import ChatCore
import MySQLClient

/// Whoever changes the reactions to a message has locked the message's row: no other transaction changes them, and a plain
/// read sees what the last one has committed.
extension RevisionBatch {
    /// The reactions to the messages that the open entries name, with what the users of the entries have.
    func reactions(
        to messages: [Key: Message], of plan: Plan, _ connection: isolated MySQLConnection
    ) throws -> [Key: MessageReactions] {
        var reactions: [Key: MessageReactions] = [:]
        var places: Set<ReactionPlace> = []
        for (index, change) in entries.enumerated() where plan.outcomes[index] == nil {
            let key = change.messageKey
            guard let reaction = change.reaction, let message = messages[key] else { continue }
            if reactions[key] == nil { reactions[key] = MessageReactions(message) }
            places.insert(ReactionPlace(key: key, user: reaction.user))
        }
        for some in places.sorted().chunks(of: Self.statementPlaces).map(\.padded) {
            let condition = some.map { _ in "(chat_id = ? AND number = ? AND user_id = ?)" }
            try connection.query(
                """
                SELECT chat_id, number, user_id, name FROM message_reactions FORCE INDEX (PRIMARY)
                WHERE \(condition.joined(separator: " OR "))
                """,
                some.flatMap { place -> [MySQLValue] in
                    [.integer(place.key.chat.rawValue), .integer(place.key.number.rawValue), .user(place.user)]
                }
            ) { row in
                let key = Key(chat: Chat.ID(row.integer(0)), number: Message.Number(row.integer(1)))
                reactions[key]?.note([Reaction.Name(stored: row.text(3))], of: User.ID(stored: row.text(2)))
                return true
            }
        }
        return reactions
    }

    /// Stores the rows of reactions.
    ///
    /// - Parameter bases: where each chat's revisions begin.
    /// - Returns: the reactions with all users that their summaries show.
    func store(
        _ reactions: [Key: MessageReactions], counting bases: [Chat.ID: Int64],
        _ connection: isolated MySQLConnection
    ) throws -> [Key: MessageReactions] {
        var reactions = reactions
        var (removed, added) = ([[MySQLValue]](), [[MySQLValue]]())
        for (key, reactions) in reactions.sorted(by: { $0.key < $1.key }) {
            func values(_ row: MessageReactions.Row) -> [MySQLValue] {
                [
                    .integer(key.chat.rawValue), .integer(key.number.rawValue), .user(row.user),
                    .bytes(Array(row.name.key.utf8)),
                ]
            }
            removed += reactions.removed.map(values)
            added += reactions.added.map { row, revision in
                values(row) + [.integer(Message.revision(revision, from: bases[key.chat]))]
            }
        }
        for some in removed.chunks(of: Self.statementPlaces).map(\.padded) {
            let condition = some.map { _ in "(chat_id = ? AND number = ? AND user_id = ? AND name = ?)" }
            try connection.execute(
                """
                DELETE message_reactions FROM message_reactions FORCE INDEX (PRIMARY)
                WHERE \(condition.joined(separator: " OR "))
                """, some.flatMap(\.self))
        }
        for some in added.statements(within: connection.facts.maxPacket, values: { _ in Self.longestRow }) {
            try connection.execute(
                """
                INSERT INTO message_reactions (chat_id, number, user_id, name, revision)
                VALUES \(some.map { _ in "(?, ?, ?, ?, ?)" }.joined(separator: ", "))
                """, some.flatMap(\.self))
        }
        for key in reactions.keys {
            for name in reactions[key]?.incomplete ?? [] {
                reactions[key]?.fill(name, with: try firstUsers(of: name, key, connection))
            }
        }
        return reactions
    }

    private static let longestRow = User.ID.maxLength + Reaction.Name.maxLength

    private func firstUsers(
        of name: Reaction.Name, _ key: Key, _ connection: isolated MySQLConnection
    ) throws -> [User.ID] {
        try connection.rows(
            """
            SELECT user_id FROM message_reactions FORCE INDEX (index_message_reactions_by_name)
            WHERE chat_id = ? AND number = ? AND name = ? ORDER BY revision LIMIT \(ReactionSummary.shownUsers)
            """,
            [.integer(key.chat.rawValue), .integer(key.number.rawValue), .bytes(Array(name.key.utf8))]
        ) { User.ID(stored: $0.text(0)) }
    }
}

/// A message, and a user who reacts to it.
private struct ReactionPlace: Hashable, Comparable {
    let key: MessageLookups.Key
    let user: User.ID

    static func < (left: Self, right: Self) -> Bool {
        if left.key != right.key { return left.key < right.key }
        return left.user.text.utf8.lexicographicallyPrecedes(right.user.text.utf8)
    }
}

extension MySQLStore {
    func users(
        reacting name: Reaction.Name, to number: Message.Number, in chat: Chat.ID, page: Page
    ) async throws -> PageOf<ReactingUser> {
        try await read(.reactions) { connection in
            func walk(
                _ page: Page, limit: Int, _ connection: isolated MySQLConnection
            ) throws -> [ReactingUser] {
                try connection.rows(
                    """
                    SELECT user_id, revision FROM message_reactions FORCE INDEX (index_message_reactions_by_name)
                    WHERE chat_id = ? AND number = ? AND name = ? AND revision > ? AND revision < ?
                    ORDER BY revision \(page.walksUp ? "ASC" : "DESC") LIMIT ?
                    """,
                    [
                        .integer(chat.rawValue), .integer(number.rawValue), .bytes(Array(name.key.utf8)),
                        .integer(page.lowerBound), .integer(page.upperBound), .integer(Int64(limit)),
                    ]
                ) { ReactingUser(user: User.ID(stored: $0.text(0)), revision: $0.integer(1)) }
            }
            let users = try walk(page, limit: page.limit + 1, connection)
            let behind = try page.behind.map { try walk($0, limit: 1, connection) }
            return PageOf(walked: users, page: page, isPrecededBy: behind?.isEmpty == false)
        }
    }
}
