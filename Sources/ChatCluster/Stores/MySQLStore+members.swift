import ChatCore
import MySQLClient

extension MySQLStore: MemberStore {
    func place(of user: User.ID, in chat: Chat.Number, of tenant: Tenant.ID) async throws -> MemberPlace? {
        try await read(.memberPlace) { connection in
            try connection.first(
                """
                SELECT id, access, \(MemberTable.columns) FROM chats
                LEFT JOIN chat_members ON chat_id = id AND user_id = ?
                WHERE chats.application_id = ? AND number = ? AND batch_id >= 0
                """, [.text(user.text), .integer(tenant.rawValue), .integer(chat.rawValue)]
            ) { row in
                Standing(
                    access: Chat.Access(rawValue: row.integer(1)) ?? .members,
                    member: row.isNull(2) ? nil : MemberTable.member(row, from: 2)
                ).map { MemberPlace(chat: Chat.ID(row.integer(0)), standing: $0) }
            } ?? nil
        }
    }

    func member(_ user: User.ID, in chat: Chat.ID) async throws -> Member? {
        try await read(.member) { try MemberTable.member(user, in: chat, $0) }
    }

    func members(_ users: [User.ID], of chat: Chat.ID) async throws -> [User.ID: Member] {
        guard !users.isEmpty else { return [:] }
        let some = users.padded
        return try await read(.members) { connection in
            let members = try connection.rows(
                """
                SELECT \(MemberTable.columns) FROM chat_members
                WHERE chat_id = ? AND user_id IN (\(some.map { _ in "?" }.joined(separator: ", ")))
                """, [.integer(chat.rawValue)] + some.map { .user($0) }
            ) { MemberTable.member($0) }
            return Dictionary(members.map { ($0.user, $0) }, uniquingKeysWith: { first, _ in first })
        }
    }

    func members(
        of chat: Chat.ID, after user: User.ID?, limit: Int
    ) async throws -> (members: [Member], hasMore: Bool) {
        let members = try await read(.members) { connection in
            try connection.rows(
                """
                SELECT \(MemberTable.columns) FROM chat_members
                WHERE chat_id = ? AND removed_at IS NULL AND user_id > ? ORDER BY user_id LIMIT ?
                """, [.integer(chat.rawValue), .text(user?.text ?? ""), .integer(Int64(limit) + 1)]
            ) { MemberTable.member($0) }
        }
        return (Array(members.prefix(limit)), members.count > limit)
    }

    func chats(of user: User.ID, in tenant: Tenant.ID, page: Page) async throws -> PageOf<MemberChat> {
        try await read(.memberChats) { connection in
            let chats = try Self.chats(of: user, in: tenant, page, limit: page.limit + 1, connection)
            let behind = try page.behind.map { try Self.chats(of: user, in: tenant, $0, limit: 1, connection) }
            return PageOf(walked: chats, page: page, isPrecededBy: behind?.isEmpty == false)
        }
    }

    private static func chats(
        of user: User.ID, in tenant: Tenant.ID, _ page: Page, limit: Int, _ connection: isolated MySQLConnection
    ) throws -> [MemberChat] {
        try connection.rows(
            """
            SELECT chat_number, role, chat_members.created_at, chats.created_at, \(ChatSettingsRow.columns)
            FROM chat_members JOIN chats ON id = chat_id
            WHERE chat_members.application_id = ? AND user_id = ? AND removed_at IS NULL
            AND chat_number > ? AND chat_number < ? AND role <> \(Member.Role.banned.rawValue)
            ORDER BY chat_number \(page.walksUp ? "ASC" : "DESC") LIMIT ?
            """,
            [
                .integer(tenant.rawValue), .text(user.text), .integer(page.lowerBound), .integer(page.upperBound),
                .integer(Int64(limit)),
            ]
        ) { row in
            let chat = Chat(
                number: Chat.Number(row.integer(0)), messagesCount: 0,
                createdAt: Timestamp(microseconds: row.timestamp(3)), settings: ChatSettingsRow.settings(row, from: 4))
            return MemberChat(
                chat: chat, role: Member.Role(rawValue: row.integer(1)) ?? .reader,
                joinedAt: Timestamp(microseconds: row.timestamp(2)))
        }
    }
}
