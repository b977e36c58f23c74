package import ChatCore
import GRDB

/// A row of `chat_members`, with the columns that all statements select.
enum MemberRow {
    static let columns = "user_id, role, from_number, to_number, chat_members.created_at, removed_at"

    /// - Parameter column: the first of them.
    /// - Returns: a banned member for a role that a newer version may have stored.
    static func member(_ row: borrowing Query, from column: CInt = 0) -> Member {
        Member(
            user: User.ID(stored: row.text(column)),
            role: Member.Role(rawValue: row.integer(column + 1)) ?? .banned,
            numbers: NumberSpan(
                first: row.integer(column + 2), last: row.isNull(column + 3) ? .max : row.integer(column + 3)),
            joinedAt: Timestamp(microseconds: row.integer(column + 4)),
            removedAt: row.isNull(column + 5) ? nil : Timestamp(microseconds: row.integer(column + 5)))
    }
}

extension SQLiteStore: MemberStore {
    package func place(
        of user: User.ID, in chat: Chat.Number, of tenant: Tenant.ID
    ) async throws -> MemberPlace? {
        try read(.memberPlace) { db in
            let query = try Query(
                db,
                """
                SELECT id, access, \(MemberRow.columns) FROM chats
                LEFT JOIN chat_members ON chat_id = id AND user_id = ?
                WHERE chats.application_id = ? AND number = ?
                """, .text(user.text), .integer(tenant.rawValue), .integer(chat.rawValue))
            guard try query.next() else { return nil }
            let standing = Standing(
                access: Chat.Access(rawValue: query.integer(1)) ?? .members,
                member: query.isNull(2) ? nil : MemberRow.member(query, from: 2))
            return standing.map { MemberPlace(chat: Chat.ID(query.integer(0)), standing: $0) }
        }
    }

    package func chats(seenBy user: User.ID, in tenant: Tenant.ID, page: Page) async throws -> PageOf<SeenChat> {
        try read(.chats) { db in
            let chats = try Self.seenChats(db, by: user, in: tenant, page, limit: page.limit + 1)
            let behind = try page.behind.map { try Self.seenChats(db, by: user, in: tenant, $0, limit: 1) }
            return PageOf(walked: chats, page: page, isPrecededBy: behind?.isEmpty == false)
        }
    }

    package func chats(
        seenBy user: User.ID, among numbers: [Chat.Number], in tenant: Tenant.ID
    ) async throws -> [SeenChat] {
        try read(.chats) { db in
            let query = try Query(
                db,
                """
                SELECT \(Self.seenColumns) FROM chats LEFT JOIN chat_members ON chat_id = id AND user_id = ?
                WHERE chats.application_id = ? AND number IN (\(numbers.map { _ in "?" }.joined(separator: ", ")))
                ORDER BY number
                """, values: [.text(user.text), .integer(tenant.rawValue)] + numbers.map { .integer($0.rawValue) })
            var chats: [SeenChat] = []
            while try query.next() { chats += [Self.seenChat(query)].compactMap(\.self) }
            return chats
        }
    }

    private static let seenColumns = "id, \(chatColumns), \(MemberRow.columns)"

    /// - Parameter row: of `seenColumns`.
    /// - Returns: nil if the chat is not there for the user.
    private static func seenChat(_ row: borrowing Query) -> SeenChat? {
        var chat = chat(row, from: 1)
        let member = row.isNull(9) ? nil : MemberRow.member(row, from: 9)
        guard let standing = Standing(access: chat.settings.access, member: member) else { return nil }
        // Numbers are dense here.
        chat.messagesCount = standing.numbers.count(upTo: chat.messagesCount)
        return SeenChat(id: Chat.ID(row.integer(0)), chat: chat, member: member)
    }

    /// The open chats, and those where the user has a row: so that others cost nothing, however many there are.
    ///
    /// The second walk takes both kinds: a chat that is opened between the two walks is in one of them.
    private static func seenChats(
        _ db: some StatementSource, by user: User.ID, in tenant: Tenant.ID, _ page: Page, limit: Int
    ) throws -> [SeenChat] {
        var chats: [Chat.Number: SeenChat] = [:]
        func note(_ query: borrowing Query) throws {
            while try query.next() {
                if let seen = seenChat(query) { chats[seen.chat.number] = seen }
            }
        }
        try note(
            try Query(
                db,
                """
                SELECT \(seenColumns) FROM chats INDEXED BY chats_open
                LEFT JOIN chat_members ON chat_id = id AND user_id = ?
                WHERE chats.application_id = ? AND access = \(Chat.Access.open.rawValue) AND number > ? AND number < ?
                AND (removed_at IS NOT NULL OR ifnull(role, 0) <> \(Member.Role.banned.rawValue))
                ORDER BY number \(page.walkOrder) LIMIT ?
                """,
                .text(user.text), .integer(tenant.rawValue), .integer(page.lowerBound), .integer(page.upperBound),
                .integer(Int64(limit))))
        try note(
            try Query(
                db,
                """
                SELECT \(seenColumns) FROM chat_members INDEXED BY chat_members_of_user_by_number
                CROSS JOIN chats ON chats.id = chat_id
                WHERE chat_members.application_id = ? AND user_id = ? AND chat_number > ? AND chat_number < ?
                AND (removed_at IS NOT NULL OR role <> \(Member.Role.banned.rawValue))
                ORDER BY chat_number \(page.walkOrder) LIMIT ?
                """,
                .integer(tenant.rawValue), .text(user.text), .integer(page.lowerBound), .integer(page.upperBound),
                .integer(Int64(limit))))
        return chats.values.sorted { ($0.chat.number < $1.chat.number) == page.walksUp }.prefix(limit).map(\.self)
    }

    package func member(_ user: User.ID, in chat: Chat.ID) async throws -> Member? {
        try read(.member) { try Self.member(user, in: chat, $0) }
    }

    static func member(_ user: User.ID, in chat: Chat.ID, _ db: some StatementSource) throws -> Member? {
        let query = try Query(
            db, "SELECT \(MemberRow.columns) FROM chat_members WHERE chat_id = ? AND user_id = ?",
            .integer(chat.rawValue), .text(user.text))
        return try query.next() ? MemberRow.member(query) : nil
    }

    package func members(_ users: [User.ID], of chat: Chat.ID) async throws -> [User.ID: Member] {
        try read(.members) { db in
            var members: [User.ID: Member] = [:]
            for user in users { members[user] = try Self.member(user, in: chat, db) }
            return members
        }
    }

    package func members(
        of chat: Chat.ID, after user: User.ID?, limit: Int
    ) async throws -> (members: [Member], hasMore: Bool) {
        try read(.members) { db in
            let query = try Query(
                db,
                """
                SELECT \(MemberRow.columns) FROM chat_members
                WHERE chat_id = ? AND removed_at IS NULL AND user_id > ? ORDER BY user_id LIMIT ?
                """, .integer(chat.rawValue), .text(user?.text ?? ""), .integer(Int64(limit) + 1))
            var members: [Member] = []
            while members.count < limit {
                guard try query.next() else { return (members, false) }
                members.append(MemberRow.member(query))
            }
            return (members, try query.next())
        }
    }

    package func chats(of user: User.ID, in tenant: Tenant.ID, page: Page) async throws -> PageOf<MemberChat> {
        try read(.memberChats) { db in
            func walk(_ page: Page, limit: Int) throws -> [MemberChat] {
                let query = try Query(
                    db,
                    """
                    SELECT chat_number, role, chat_members.created_at, chats.created_at, \(ChatSettingsRow.columns)
                    FROM chat_members JOIN chats ON id = chat_id
                    WHERE chat_members.application_id = ? AND user_id = ? AND removed_at IS NULL
                    AND chat_number > ? AND chat_number < ? AND role <> \(Member.Role.banned.rawValue)
                    ORDER BY chat_number \(page.walkOrder) LIMIT ?
                    """,
                    .integer(tenant.rawValue), .text(user.text), .integer(page.lowerBound),
                    .integer(page.upperBound), .integer(Int64(limit)))
                var chats: [MemberChat] = []
                while try query.next() {
                    let chat = Chat(
                        number: Chat.Number(query.integer(0)), messagesCount: 0,
                        createdAt: Timestamp(microseconds: query.integer(3)),
                        settings: ChatSettingsRow.settings(query, from: 4))
                    chats.append(
                        MemberChat(
                            chat: chat, role: Member.Role(rawValue: query.integer(1)) ?? .reader,
                            joinedAt: Timestamp(microseconds: query.integer(2))))
                }
                return chats
            }
            let chats = try walk(page, limit: page.limit + 1)
            return PageOf(
                walked: chats, page: page,
                isPrecededBy: try page.behind.map { try !walk($0, limit: 1).isEmpty } ?? false)
        }
    }

    /// Numbers are dense here: the span says how many there are.
    package func messageCount(of chat: Chat.ID, in numbers: NumberSpan) async throws -> Int64 {
        numbers.count(upTo: try await count(in: chat) ?? 0)
    }
}

extension SQLiteStore {
    /// A chat that is being changed.
    private struct Changed {
        let settings: Chat.Settings
        let lastNumber: Int64
    }

    private static func changed(_ chat: ChatPlace, _ db: Database) throws -> Changed? {
        let query = try Query(
            db,
            """
            SELECT last_message_number, \(ChatSettingsRow.columns) FROM chats WHERE id = ? AND application_id = ?
            """, .integer(chat.id.rawValue), .integer(chat.tenant.rawValue))
        guard try query.next() else { return nil }
        return Changed(settings: ChatSettingsRow.settings(query, from: 1), lastNumber: query.integer(0))
    }

    static func apply(
        _ change: MemberChange, at now: Timestamp, _ db: Database
    ) throws -> Result<TenantChange.Effect, ChatError> {
        do {
            guard let chat = try changed(change.chat, db) else { return .failure(.notFound) }
            let target = try member(change.user, in: change.chat.id, db)
            let decision = try change.decide(
                in: chat.settings, actor: change.actor.flatMap { try member($0, in: change.chat.id, db) },
                target: target, at: now,
                hasOtherOwner: {
                    try Query(
                        db,
                        """
                        SELECT 1 FROM chat_members INDEXED BY chat_members_owners
                        WHERE chat_id = ? AND removed_at IS NULL AND role = \(Member.Role.owner.rawValue) AND user_id <> ?
                        LIMIT 1
                        """, .integer(change.chat.id.rawValue), .text(change.user.text)
                    ).next()
                }, lastNumber: { chat.lastNumber })
            switch decision {
            case .store(let member): try store(member, in: change.chat, db)
            case .delete:
                try Query(
                    db, "DELETE FROM chat_members WHERE chat_id = ? AND user_id = ?",
                    .integer(change.chat.id.rawValue), .text(change.user.text)
                ).run()
            case .nothing: return .success(.nothing)
            }
            try takeRevision(for: .member, user: change.user, in: change.chat.id, db)
            return .success(.changedAccess)
        } catch let error as ChatError {
            return .failure(error)
        }
    }

    static func store(_ member: Member, in chat: ChatPlace, _ db: Database) throws {
        try Query(
            db,
            """
            REPLACE INTO chat_members (application_id, chat_id, chat_number, user_id, role, from_number, to_number,
                created_at, removed_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            .integer(chat.tenant.rawValue), .integer(chat.id.rawValue), .integer(chat.number.rawValue),
            .text(member.user.text), .integer(member.role.rawValue), .integer(member.numbers.first),
            member.numbers.last == .max ? .null : .integer(member.numbers.last),
            .integer(member.joinedAt.microseconds), member.removedAt.map { .integer($0.microseconds) } ?? .null
        ).run()
    }

    static func apply(
        _ update: ChatUpdate, at now: Timestamp, _ db: Database
    ) throws -> Result<TenantChange.Effect, ChatError> {
        guard let chat = try changed(update.chat, db) else { return .failure(.notFound) }
        let actor = try update.actor.flatMap { try member($0, in: update.chat.id, db) }
        let decided = Result { () throws(ChatError) in try update.decide(in: chat.settings, actor: actor) }
        guard case .success((let settings, let effect)) = decided, effect != .nothing else {
            return decided.map { $0.effect }
        }
        try Query(
            db,
            "UPDATE chats SET name = ?, metadata = ?, access = ?, history = ?, receipts = ?, updated_at = ? WHERE id = ?",
            values: settings.values + [.integer(now.microseconds), .integer(update.chat.id.rawValue)]
        ).run()
        try takeRevision(for: .chat, in: update.chat.id, db)
        return .success(effect)
    }
}
