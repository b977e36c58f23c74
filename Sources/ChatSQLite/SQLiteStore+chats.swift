package import ChatCore
import GRDB

extension SQLiteStore: ChatStore {
    package func id(of number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat.ID? {
        try read(.chatID) { db in
            let query = try Query(
                db, "SELECT id FROM chats WHERE application_id = ? AND number = ?",
                .integer(tenant.rawValue), .integer(number.rawValue))
            return try query.next() ? Chat.ID(query.integer(0)) : nil
        }
    }

    package func chat(_ number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat? {
        try read(.chat) { db in
            let query = try Query(
                db,
                "SELECT \(Self.chatColumns) FROM chats WHERE application_id = ? AND number = ?",
                .integer(tenant.rawValue), .integer(number.rawValue))
            return try query.next() ? Self.chat(query) : nil
        }
    }

    package func chats(in tenant: Tenant.ID, page: Page) async throws -> PageOf<Chat> {
        try read(.chats) { db in
            let query = try Query(
                db,
                """
                SELECT \(Self.chatColumns) FROM chats
                WHERE application_id = ? AND number > ? AND number < ?
                ORDER BY number \(page.walkOrder) LIMIT ?
                """,
                .integer(tenant.rawValue), .integer(page.lowerBound), .integer(page.upperBound),
                .integer(Int64(page.limit + 1)))
            var chats: [Chat] = []
            while try query.next() { chats.append(Self.chat(query)) }
            return PageOf(
                walked: chats, page: page,
                isPrecededBy: try page.isPreceded(in: "chats", where: "application_id", is: tenant.rawValue, db))
        }
    }

    static let chatColumns = "number, messages_count, chats.created_at, \(ChatSettingsRow.columns)"

    /// - Parameter column: the first of `chatColumns`.
    static func chat(_ query: borrowing Query, from column: CInt = 0) -> Chat {
        Chat(
            number: Chat.Number(query.integer(column)),
            messagesCount: query.integer(column + 1),
            createdAt: Timestamp(microseconds: query.integer(column + 2)),
            settings: ChatSettingsRow.settings(query, from: column + 3)
        )
    }
}

extension SQLiteStore: NewChatLog {
    package func append(
        _ batch: [NewChat], at now: Timestamp, within time: Duration
    ) async throws -> [Result<AppendedChat, ChatError>] {
        try write { db in
            let keys = IdempotencyTable(db: db, scope: .application, now: try keyClock.now(db, wall: now))
            var authors = AuthorCheck(db)
            let results = try batch.map { new -> Result<AppendedChat, ChatError> in
                switch try keys.lookUp(new.key, in: new.tenant.rawValue) {
                case .unseen: break
                case .reused: return .failure(.keyReused)
                case .seen(let number):
                    let chat = try Query(
                        db, "SELECT id FROM chats WHERE application_id = ? AND number = ?",
                        .integer(new.tenant.rawValue), .integer(number))
                    guard try chat.next() else { return .failure(.notFound) }
                    return .success(
                        AppendedChat(id: Chat.ID(chat.integer(0)), number: Chat.Number(number), isReplay: true))
                }
                if let refusal = try authors.refusal(of: new.author, in: new.tenant, to: nil) {
                    return .failure(refusal)
                }
                guard let number = try Self.nextNumber(in: new.tenant, now, db) else { return .failure(.notFound) }
                try Query(
                    db,
                    """
                    INSERT INTO chats (
                        id, application_id, number, created_at, updated_at, \(ChatSettingsRow.columns))
                    VALUES (\(Self.nextID(in: "chats")), ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                    values: [
                        .integer(new.tenant.rawValue), .integer(number), .integer(now.microseconds),
                        .integer(now.microseconds),
                    ] + new.settings.values
                ).run()
                let id = Chat.ID(db.lastInsertedRowID)
                if let owner = new.author.user {
                    try Self.store(
                        Member(user: owner, role: .owner, numbers: .all, joinedAt: now),
                        in: ChatPlace(id: id, number: Chat.Number(number), tenant: new.tenant), db)
                }
                try keys.remember(new.key, in: new.tenant.rawValue, number: number)
                return .success(AppendedChat(id: id, number: Chat.Number(number), isReplay: false))
            }
            if batch.contains(where: { $0.key != nil }) { try keys.expire(atMost: 2 * batch.count) }
            return results
        }
    }

    /// Takes the next chat number of a tenant; nil if there is no such tenant.
    private static func nextNumber(in tenant: Tenant.ID, _ now: Timestamp, _ db: Database) throws -> Int64? {
        let last = try Query(db, "SELECT last_chat_number FROM applications WHERE id = ?", .integer(tenant.rawValue))
        guard try last.next() else { return nil }
        let number = last.integer(0) + 1
        try Query(
            db,
            "UPDATE applications SET last_chat_number = ?, chats_count = chats_count + 1, updated_at = ? WHERE id = ?",
            .integer(number), .integer(now.microseconds), .integer(tenant.rawValue)
        ).run()
        return number
    }
}
