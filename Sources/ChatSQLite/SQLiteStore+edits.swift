package import ChatCore
import GRDB

extension SQLiteStore: MessageChanges {
    package func revise(
        _ batch: [MessageChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<ChangedMessage, ChatError>] {
        // It may have been stored even if this throws.
        defer { changed.see(batch) }
        let results = try write { db in
            // What is replaced or deleted does not stay in free parts of the file.
            let replaces = batch.contains(where: \.changesContent)
            if replaces { try db.execute(sql: "PRAGMA secure_delete = ON") }
            defer { if replaces { try? db.execute(sql: "PRAGMA secure_delete = OFF") } }  // Only slower.
            var revisions = try RevisionBatch(db, at: now, keyTime: keyClock.now(db, wall: now))
            return try revisions.apply(batch)
        }
        bus.publish(batch.changed(results))
        bus.publish(revisions: batch.reached(results))
        return results
    }

    package func revisions(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try read(.revisions) { try Self.revisions(of: chats, $0) }
    }

    static func revisions(of chats: [Chat.ID], _ db: some StatementSource) throws -> [Chat.ID: Int64] {
        let query = try Query(db, "SELECT revision FROM chat_heads WHERE chat_id = ?")
        var revisions: [Chat.ID: Int64] = [:]
        for chat in chats {
            try query.rebind(.integer(chat.rawValue))
            if try query.next() { revisions[chat] = query.integer(0) }
        }
        return revisions
    }

    package func changes(
        in chat: Chat.ID, after revision: Int64, upTo last: Int64, limit: Int
    ) async throws -> [ChangedItem] {
        try read(.changes) { db in
            let query = try Query(
                db,
                """
                SELECT kind, item, user_id, revision FROM chat_changes
                WHERE chat_id = ? AND revision > ? AND revision <= ? ORDER BY revision LIMIT ?
                """, .integer(chat.rawValue), .integer(revision), .integer(last), .integer(Int64(limit)))
            var items: [ChangedItem] = []
            while try query.next() {
                let user = query.text(2)
                items.append(
                    ChangedItem(
                        kind: ChangedItem.Kind(rawValue: query.integer(0)), number: query.integer(1),
                        user: user.isEmpty ? nil : User.ID(stored: user),
                        revision: query.integer(3)))
            }
            return items
        }
    }

    package func messages(
        _ numbers: [Message.Number], in chat: Chat.ID
    ) async throws -> [Message.Number: Message] {
        try read(.messages) { db in
            let query = try Query(db, MessageRow.lookUp)
            var messages: [Message.Number: Message] = [:]
            for number in numbers {
                try query.rebind(.integer(chat.rawValue), .integer(number.rawValue))
                if try query.next() { messages[number] = MessageRow.message(query) }
            }
            return messages
        }
    }

    package func versions(
        of number: Message.Number, in chat: Chat.ID, page: Page, since time: Timestamp
    ) async throws -> PageOf<MessageVersion> {
        try read(.messageVersions) { db in
            func walk(_ page: Page, limit: Int) throws -> [MessageVersion] {
                // The first version has the revision 0.
                let query = try Query(
                    db,
                    """
                    SELECT revision, body, metadata, created_at, replaced_at, mentions FROM message_versions
                    WHERE chat_id = ? AND number = ? AND revision > ? AND revision < ? AND replaced_at >= ?
                    ORDER BY revision \(page.walkOrder) LIMIT ?
                    """, .integer(chat.rawValue), .integer(number.rawValue),
                    .integer(page.after == nil ? -1 : page.lowerBound), .integer(page.upperBound),
                    .integer(time.microseconds), .integer(Int64(limit)))
                var versions: [MessageVersion] = []
                var bytes = 0
                while bytes <= page.bytes, try query.next() {
                    bytes += query.bytes(1).lengthInJSON + query.bytes(2).count + query.bytes(5).count
                    versions.append(
                        MessageVersion(
                            revision: query.integer(0), body: query.text(1),
                            metadata: query.isNull(2) ? nil : query.text(2),
                            mentions: MessageRow.mentions(query, 5),
                            createdAt: Timestamp(microseconds: query.integer(3)),
                            replacedAt: Timestamp(microseconds: query.integer(4))))
                }
                return versions
            }
            let walked = try walk(page, limit: page.limit + 1)
            return PageOf(
                versions: walked, page: page,
                isPrecededBy: try page.behind.map { try !walk($0, limit: 1).isEmpty } ?? false)
        }
    }

    package func deletedCount(in chat: Chat.ID, of numbers: NumberSpan) async throws -> Int64 {
        try read(.deletedCount) { db in
            let query =
                numbers == .all
                ? try Query(db, "SELECT deleted_count FROM chat_heads WHERE chat_id = ?", .integer(chat.rawValue))
                : try Query(
                    db,
                    """
                    SELECT count(*) FROM chat_changes AS changes
                    CROSS JOIN messages ON messages.chat_id = changes.chat_id AND messages.number = item
                    WHERE changes.chat_id = ? AND kind = \(ChangedItem.Kind.message.rawValue) AND item BETWEEN ? AND ?
                    AND deleted_at IS NOT NULL
                    """, .integer(chat.rawValue), .integer(numbers.first), .integer(numbers.last))
            return try query.next() ? query.integer(0) : 0
        }
    }

    package func expireVersions(by rules: EditRules, at now: Timestamp, limit: Int) async throws -> Bool {
        try write { db in
            // By the earlier of the two clocks, so that a wrong one deletes nothing early.
            let oldest = rules.oldest(at: min(now, try keyClock.now(db, wall: now)))
            try db.execute(sql: "PRAGMA secure_delete = ON")
            defer { try? db.execute(sql: "PRAGMA secure_delete = OFF") }  // Only slower.
            try Query(
                db,
                """
                DELETE FROM message_versions WHERE (chat_id, number, revision) IN (
                    SELECT chat_id, number, revision FROM message_versions WHERE replaced_at < ?
                    ORDER BY replaced_at LIMIT ?)
                """, .integer(oldest.microseconds), .integer(Int64(limit))
            ).run()
            return db.changesCount == limit
        }
    }
}

/// Carries out a batch of changes in one transaction, one after the other: each sees what the one before has stored. Takes
/// the revisions of each chat by one update of its head.
private struct RevisionBatch {
    /// A chat's head, while the batch counts on from it.
    private struct Head {
        var revision: Int64
        var deleted: Int64
        var isChanged = false
    }

    private let db: Database
    private let now: Timestamp
    private let keys: IdempotencyTable
    private var authors: AuthorCheck
    private var heads: [Chat.ID: Head] = [:]
    private var reacted: ReactedMessages

    init(_ db: Database, at now: Timestamp, keyTime: Timestamp) {
        self.db = db
        self.now = now
        self.keys = IdempotencyTable(db: db, scope: .chat, now: keyTime)
        self.authors = AuthorCheck(db)
        self.reacted = ReactedMessages(db)
    }

    mutating func apply(_ batch: [MessageChange]) throws -> [Result<ChangedMessage, ChatError>] {
        var results: [Result<ChangedMessage, ChatError>] = []
        for change in batch {
            do {
                results.append(.success(try apply(change)))
            } catch let error as ChatError {
                results.append(.failure(error))
            }
        }
        try reacted.closeAll()
        for (index, change) in batch.enumerated() where change.reaction != nil {
            guard case .success(let changed) = results[index], let last = reacted.last(change) else { continue }
            results[index] = .success(ChangedMessage(message: last, isChanged: changed.isChanged))
        }
        for (chat, head) in heads where head.isChanged {
            try Query(
                db, "INSERT OR REPLACE INTO chat_heads (chat_id, revision, deleted_count) VALUES (?, ?, ?)",
                .integer(chat.rawValue), .integer(head.revision), .integer(head.deleted)
            ).run()
        }
        if batch.contains(where: { $0.key != nil }) { try keys.expire(atMost: 2 * batch.count) }
        return results
    }

    /// - Throws: `ChatError` for this change alone, which has stored nothing then.
    private mutating func apply(_ change: MessageChange) throws -> ChangedMessage {
        let chat = change.chat.id
        if let refusal = try authors.refusal(of: change.author, in: change.chat.tenant, to: chat) { throw refusal }
        let standing = try standing(change)
        try change.checkSees(standing)
        if change.changesContent { try reacted.close(change) }
        guard let message = try reacted.message(change) ?? message(change) else { throw ChatError.notFound }
        if let reaction = change.reaction {
            guard try reacted.changes(reaction, of: change, to: message, as: standing) else {
                return ChangedMessage(message: message, isChanged: false)
            }
            reacted.apply(reaction, of: change, at: try nextRevision(of: chat, deletes: false))
            return ChangedMessage(message: message, isChanged: true)
        }
        if let action = change.pinAction {
            let (pin, isChanged) = try change.decide(
                action, of: message, now: SQLiteStore.pin(of: change.number, in: chat, db),
                among: SQLiteStore.pinCount(of: chat, db), as: standing, at: now)
            guard isChanged else { return ChangedMessage(message: message, isChanged: false, pin: pin) }
            try SQLiteStore.set(pin, of: change.number, in: chat, db)
            let revision = try nextRevision(of: chat, deletes: false)
            try SQLiteStore.note(.pin, change.number.rawValue, at: revision, in: chat, db)
            return ChangedMessage(message: message, isChanged: true, pin: pin, pinRevision: revision)
        }
        switch try keys.lookUp(change.key, in: chat.rawValue) {
        case .reused: throw ChatError.keyReused
        case .seen: return ChangedMessage(message: message, isChanged: false, isReplay: true)
        case .unseen: break
        }
        guard var new = try change.decide(on: message, as: standing, at: now) else {
            try keys.remember(change.key, in: chat.rawValue, number: change.number.rawValue)
            return ChangedMessage(message: message, isChanged: false)
        }
        new.revision = try nextRevision(of: chat, deletes: new.deletion != nil)
        if new.deletion != nil, new.reactionsRevision > 0 { new.reactionsRevision = new.revision }
        try store(new, in: chat)
        reacted.note(new, change)
        if new.deletion == nil {
            if change.rules.keepsVersions { try store(MessageVersion(of: message, replacedAt: now), of: new, in: chat) }
            try SQLiteStore.dropBlock(covering: new.number.rawValue, of: chat, db)
        } else {
            for remains in MessageRemains.allCases { try remove(remains, of: message, in: chat) }
        }
        try keys.remember(change.key, in: chat.rawValue, number: change.number.rawValue)
        if let thread = new.content.thread { new.root = try SQLiteStore.thread(thread, in: chat, db) }
        return ChangedMessage(message: new, isChanged: true)
    }

    private func message(_ change: MessageChange) throws -> Message? {
        let query = try Query(
            db, MessageRow.lookUp, .integer(change.chat.id.rawValue), .integer(change.number.rawValue))
        return try query.next() ? MessageRow.message(query) : nil
    }

    /// - Returns: nil for what is no user, or if the chat is not there for the user.
    /// - Throws: `ChatError.notFound` if the chat is gone.
    private func standing(_ change: MessageChange) throws -> Standing? {
        let query = try Query(
            db,
            """
            SELECT access FROM chats JOIN applications ON applications.id = application_id
            WHERE chats.id = ? AND application_id = ? AND removed_at IS NULL
            """, .integer(change.chat.id.rawValue), .integer(change.chat.tenant.rawValue))
        guard try query.next() else { throw ChatError.notFound }
        guard let user = change.author.user else { return nil }
        return Standing(
            access: Chat.Access(rawValue: query.integer(0)) ?? .members,
            member: try SQLiteStore.member(user, in: change.chat.id, db))
    }

    private mutating func nextRevision(of chat: Chat.ID, deletes: Bool) throws -> Int64 {
        if heads[chat] == nil {
            let query = try Query(
                db, "SELECT revision, deleted_count FROM chat_heads WHERE chat_id = ?", .integer(chat.rawValue))
            heads[chat] =
                try query.next()
                ? Head(revision: query.integer(0), deleted: query.integer(1)) : Head(revision: 0, deleted: 0)
        }
        heads[chat]!.revision += 1
        heads[chat]!.deleted += deletes ? 1 : 0
        heads[chat]!.isChanged = true
        return heads[chat]!.revision
    }

    private func store(_ message: Message, in chat: Chat.ID) throws {
        try Query(
            db,
            """
            UPDATE messages SET body = ?, metadata = ?, edited_at = ?, deleted_at = ?, deleted_by = ?, content_revision = ?,
                reactions = ?, reactions_revision = ?, mentions = ?
            WHERE chat_id = ? AND number = ?
            """,
            .text(message.body), message.content.metadata.map { .text($0) } ?? .null,
            message.editedAt.map { .integer($0.microseconds) } ?? .null,
            message.deletion.map { .integer($0.at.microseconds) } ?? .null,
            message.deletion?.by.map { .text($0.text) } ?? .null, .integer(message.revision),
            message.reactions.map { .text($0) } ?? .null,
            message.reactionsRevision > 0 ? .integer(message.reactionsRevision) : .null,
            message.content.mentions.map { .text($0.json) } ?? .null,
            .integer(chat.rawValue), .integer(message.number.rawValue)
        ).run()
        try SQLiteStore.note(.message, message.number.rawValue, at: message.revision, in: chat, db)
    }

    private func store(_ version: MessageVersion, of message: Message, in chat: Chat.ID) throws {
        try Query(
            db,
            """
            INSERT INTO message_versions (chat_id, number, revision, body, metadata, created_at, replaced_at, mentions)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            .integer(chat.rawValue), .integer(message.number.rawValue), .integer(version.revision),
            .text(version.body), version.metadata.map { .text($0) } ?? .null,
            .integer(version.createdAt.microseconds), .integer(version.replacedAt.microseconds),
            version.mentions.map { .text($0.json) } ?? .null
        ).run()
    }

    private func remove(_ remains: MessageRemains, of message: Message, in chat: Chat.ID) throws {
        let number = message.number
        switch remains {
        case .body, .metadata, .mentions: break  // The message is stored without them.
        case .versions:
            try Query(
                db, "DELETE FROM message_versions WHERE chat_id = ? AND number = ?",
                .integer(chat.rawValue), .integer(number.rawValue)
            ).run()
        case .reactions:
            guard message.reactionsRevision > 0 else { break }
            try Query(
                db, "DELETE FROM message_reactions WHERE chat_id = ? AND number = ?",
                .integer(chat.rawValue), .integer(number.rawValue)
            ).run()
        case .pin: try SQLiteStore.set(nil, of: number, in: chat, db)
        case .searchBlocks: try SQLiteStore.dropBlock(covering: number.rawValue, of: chat, db)
        case .engine: break  // Its feed follows `chat_changes`.
        case .liveWindow: break  // `revise` publishes the message as it is then.
        case .jobs: break  // The embedded store has none.
        }
    }
}
