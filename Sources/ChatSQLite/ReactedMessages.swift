package import ChatCore
import GRDB

/// The messages to which a batch reacts. Each is stored once: before another change of it, or at the end.
struct ReactedMessages {
    private struct Key: Hashable {
        let chat: Chat.ID
        let number: Message.Number

        init(_ change: MessageChange) { (self.chat, self.number) = (change.chat.id, change.number) }
    }

    private struct Open {
        var message: Message
        var reactions: MessageReactions
        var isChanged = false
    }

    private let db: Database
    private var open: [Key: Open] = [:]
    /// As they were stored last.
    private var stored: [Key: Message] = [:]

    init(_ db: Database) { self.db = db }

    /// The message as the batch has it; nil if the store's row is newer.
    func message(_ change: MessageChange) -> Message? { open[Key(change)]?.message }

    /// Whether a reaction changes anything.
    ///
    /// - Throws: `ChatError` for this change alone.
    mutating func changes(
        _ reaction: Reaction, of change: MessageChange, to message: Message, as standing: Standing?
    ) throws -> Bool {
        let key = Key(change)
        var entry = open[key] ?? Open(message: message, reactions: MessageReactions(message))
        if !entry.reactions.knows(reaction.user) {
            entry.reactions.note(try names(of: reaction.user, key), of: reaction.user)
            open[key] = entry
        }
        return try change.decide(reaction, to: entry.message, among: entry.reactions, as: standing)
    }

    /// Carries out a reaction that changes something.
    mutating func apply(_ reaction: Reaction, of change: MessageChange, at revision: Int64) {
        open[Key(change)]?.reactions.apply(reaction, at: revision)
        open[Key(change)]?.message.reactionsRevision = revision
        open[Key(change)]?.isChanged = true
    }

    /// Stores a message before another change of it.
    mutating func close(_ change: MessageChange) throws { try close(Key(change)) }

    mutating func closeAll() throws { for key in Array(open.keys) { try close(key) } }

    /// What another change has made of a message.
    mutating func note(_ message: Message, _ change: MessageChange) {
        if stored[Key(change)] != nil { stored[Key(change)] = message }
    }

    /// The message as the batch leaves it; call it at the end.
    func last(_ change: MessageChange) -> Message? { stored[Key(change)] }

    private mutating func close(_ key: Key) throws {
        guard var entry = open.removeValue(forKey: key), entry.isChanged else { return }
        for row in entry.reactions.removed {
            try Query(
                db, "DELETE FROM message_reactions WHERE chat_id = ? AND number = ? AND user_id = ? AND name = ?",
                .integer(key.chat.rawValue), .integer(key.number.rawValue), .text(row.user.text), .text(row.name.key)
            ).run()
        }
        for (row, revision) in entry.reactions.added {
            try Query(
                db, "INSERT INTO message_reactions (chat_id, number, user_id, name, revision) VALUES (?, ?, ?, ?, ?)",
                .integer(key.chat.rawValue), .integer(key.number.rawValue), .text(row.user.text), .text(row.name.key),
                .integer(revision)
            ).run()
        }
        for name in entry.reactions.incomplete { entry.reactions.fill(name, with: try firstUsers(of: name, key)) }
        entry.message.reactions = entry.reactions.summary.json
        try Query(
            db, "UPDATE messages SET reactions = ?, reactions_revision = ? WHERE chat_id = ? AND number = ?",
            entry.message.reactions.map { .text($0) } ?? .null, .integer(entry.message.reactionsRevision),
            .integer(key.chat.rawValue), .integer(key.number.rawValue)
        ).run()
        try SQLiteStore.note(.message, key.number.rawValue, at: entry.message.reactionsRevision, in: key.chat, db)
        stored[key] = entry.message
    }

    private func names(of user: User.ID, _ key: Key) throws -> [Reaction.Name] {
        let query = try Query(
            db, "SELECT name FROM message_reactions WHERE chat_id = ? AND number = ? AND user_id = ?",
            .integer(key.chat.rawValue), .integer(key.number.rawValue), .text(user.text))
        var names: [Reaction.Name] = []
        while try query.next() { names.append(Reaction.Name(stored: query.text(0))) }
        return names
    }

    private func firstUsers(of name: Reaction.Name, _ key: Key) throws -> [User.ID] {
        let query = try Query(
            db,
            """
            SELECT user_id FROM message_reactions WHERE chat_id = ? AND number = ? AND name = ?
            ORDER BY revision LIMIT \(ReactionSummary.shownUsers)
            """, .integer(key.chat.rawValue), .integer(key.number.rawValue), .text(name.key))
        var users: [User.ID] = []
        while try query.next() { users.append(User.ID(stored: query.text(0))) }
        return users
    }
}

extension SQLiteStore {
    /// Takes a chat's next revision for a change of a thing.
    static func takeRevision(
        for kind: ChangedItem.Kind, user: User.ID? = nil, in chat: Chat.ID, _ db: Database
    ) throws {
        try Query(
            db,
            """
            INSERT INTO chat_heads (chat_id, revision, deleted_count) VALUES (?, 1, 0)
            ON CONFLICT (chat_id) DO UPDATE SET revision = revision + 1
            """, .integer(chat.rawValue)
        ).run()
        let head = try Query(db, "SELECT revision FROM chat_heads WHERE chat_id = ?", .integer(chat.rawValue))
        guard try head.next() else { return }
        try note(kind, user: user, at: head.integer(0), in: chat, db)
    }

    /// Notes the last change of a thing.
    ///
    /// - Parameter item: a message's number; 0 for what has none.
    static func note(
        _ kind: ChangedItem.Kind, _ item: Int64 = 0, user: User.ID? = nil, at revision: Int64, in chat: Chat.ID,
        _ db: Database
    ) throws {
        try Query(
            db,
            """
            INSERT INTO chat_changes (chat_id, kind, item, user_id, revision) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (chat_id, kind, item, user_id) DO UPDATE SET revision = excluded.revision
            """,
            .integer(chat.rawValue), .integer(kind.rawValue), .integer(item), .text(user?.text ?? ""),
            .integer(revision)
        ).run()
    }

    package func users(
        reacting name: Reaction.Name, to number: Message.Number, in chat: Chat.ID, page: Page
    ) async throws -> PageOf<ReactingUser> {
        try read(.reactions) { db in
            func walk(_ page: Page, limit: Int) throws -> [ReactingUser] {
                let query = try Query(
                    db,
                    """
                    SELECT user_id, revision FROM message_reactions
                    WHERE chat_id = ? AND number = ? AND name = ? AND revision > ? AND revision < ?
                    ORDER BY revision \(page.walkOrder) LIMIT ?
                    """, .integer(chat.rawValue), .integer(number.rawValue), .text(name.key),
                    .integer(page.lowerBound), .integer(page.upperBound), .integer(Int64(limit)))
                var users: [ReactingUser] = []
                while try query.next() {
                    users.append(ReactingUser(user: User.ID(stored: query.text(0)), revision: query.integer(1)))
                }
                return users
            }
            let users = try walk(page, limit: page.limit + 1)
            return PageOf(
                walked: users, page: page,
                isPrecededBy: try page.behind.map { try !walk($0, limit: 1).isEmpty } ?? false)
        }
    }
}
