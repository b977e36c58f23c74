import ChatCore
import MySQLClient

/// Whether the users of a batch may write in their chats, as of its own transaction.
enum SenderCheck {
    private static let statementPlaces = 64

    private struct Place: Hashable {
        let chat: Int64
        let user: User.ID
    }

    /// Locks the rows of the chats, which a change of members locks too (`MemberTable`), and of the members until the
    /// transaction ends: such a change waits for it, and is not answered before. Nothing is asked if no entry is a user's
    /// message.
    ///
    /// - Returns: the entries that are not stored, by their place in the batch.
    static func refusals<Entry: NumberedEntry>(
        of rows: [NumberedBatch.Row], in entries: [Entry], _ connection: isolated MySQLConnection
    ) throws -> [Int: ChatError] {
        let sent = rows.compactMap { row -> (entry: Int, place: Place)? in
            guard let user = entries[row.entry].author.user, let chat = entries[row.entry].sentTo else { return nil }
            return (row.entry, Place(chat: chat.rawValue, user: user))
        }
        guard !sent.isEmpty else { return [:] }
        var accesses: [Int64: Chat.Access] = [:]
        var members: [Place: Member] = [:]
        // In one order, so that two batches do not wait for each other in a circle.
        let places = Set(sent.map(\.place)).sorted { left, right in
            left.chat == right.chat
                ? left.user.text.utf8.lexicographicallyPrecedes(right.user.text.utf8) : left.chat < right.chat
        }
        for some in places.chunks(of: statementPlaces).map(\.padded) {
            // The chats first: once they are locked, no member changes.
            try connection.query(
                """
                (SELECT id, access, NULL AS user_id, 0 AS role, 0 AS is_removed FROM chats FORCE INDEX (PRIMARY)
                WHERE id IN (\(some.map { _ in "?" }.joined(separator: ", "))) LOCK IN SHARE MODE)
                UNION ALL
                (SELECT chat_id, 0, user_id, role, removed_at IS NOT NULL FROM chat_members FORCE INDEX (PRIMARY)
                WHERE \(some.map { _ in "(chat_id = ? AND user_id = ?)" }.joined(separator: " OR "))
                LOCK IN SHARE MODE)
                """,
                some.map { .integer($0.chat) } + some.flatMap { [.integer($0.chat), .text($0.user.text)] }
            ) { row in
                let chat = row.integer(0)
                guard !row.isNull(2) else {
                    accesses[chat] = Chat.Access(rawValue: row.integer(1)) ?? .members
                    return true
                }
                let user = User.ID(stored: row.text(2))
                let time = Timestamp(microseconds: 0)
                members[Place(chat: chat, user: user)] = Member(
                    user: user, role: Member.Role(rawValue: row.integer(3)) ?? .banned, numbers: .all, joinedAt: time,
                    removedAt: row.integer(4) == 0 ? nil : time)
                return true
            }
        }
        var refusals: [Int: ChatError] = [:]
        for (entry, place) in sent {
            // A chat that is gone is found by the foreign key.
            guard let access = accesses[place.chat] else { continue }
            refusals[entry] = Standing.refusalToWrite(access: access, member: members[place])
        }
        return refusals
    }
}
