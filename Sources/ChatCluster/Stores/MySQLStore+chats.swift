import ChatCore
import MySQLClient

extension NewChat: NumberedEntry {
    var owner: Int64 { tenant.rawValue }
    var sentTo: Chat.ID? { nil }
}

extension MySQLStore: ChatStore {
    func id(of number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat.ID? {
        try await read(.chatID) { connection in
            try connection.first(
                "SELECT id FROM chats WHERE application_id = ? AND number = ? AND batch_id >= 0",
                [.integer(tenant.rawValue), .integer(number.rawValue)]
            ) { Chat.ID($0.integer(0)) }
        }
    }

    func chat(_ number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat? {
        let row = try await read(.chat) { connection in
            try connection.first(
                "SELECT \(CountedChat.columns) FROM chats WHERE application_id = ? AND number = ? AND batch_id >= 0",
                [.integer(tenant.rawValue), .integer(number.rawValue)], CountedChat.init)
        }
        if let row { counting.advance(row.count, self) }
        return row?.chat
    }

    func chats(seenBy user: User.ID, in tenant: Tenant.ID, page: Page) async throws -> PageOf<SeenChat> {
        let (rows, found, isPreceded) = try await read(.chats) { connection in
            let rows = try Self.seenRows(by: user, in: tenant, page, limit: page.limit + 1, connection)
            let behind = try page.behind.map { try Self.seenRows(by: user, in: tenant, $0, limit: 1, connection) }
            return (rows, try VisibleCount.find(rows.map(\.count), connection), behind?.isEmpty == false)
        }
        return PageOf(walked: try await counted(rows, found), page: page, isPrecededBy: isPreceded)
    }

    func chats(
        seenBy user: User.ID, among numbers: [Chat.Number], in tenant: Tenant.ID
    ) async throws -> [SeenChat] {
        guard !numbers.isEmpty else { return [] }
        let some = numbers.padded
        let (rows, found) = try await read(.chats) { connection in
            let rows = try connection.rows(
                """
                SELECT \(SeenRow.columns) FROM \(NumberedTable.chats.byNumber)
                LEFT JOIN chat_members ON chat_id = chats.id AND user_id = ?
                WHERE chats.application_id = ? AND number IN (\(some.map { _ in "?" }.joined(separator: ", ")))
                AND batch_id >= 0 ORDER BY number
                """, [.user(user), .integer(tenant.rawValue)] + some.map { .integer($0.rawValue) }
            ) { SeenRow($0) }.compactMap(\.self)
            return (rows, try VisibleCount.find(rows.map(\.count), connection))
        }
        return try await counted(rows, found)
    }

    private func counted(_ rows: [SeenRow], _ found: VisibleCount.Found) async throws -> [SeenChat] {
        let messages = try await messages(found)
        return rows.compactMap { $0.seen(messages) }
    }

    /// The open chats, and those where the user has a row: so that others cost nothing, however many there are.
    ///
    /// The second walk takes both kinds: a chat that is opened between the two walks is in one of them.
    private static func seenRows(
        by user: User.ID, in tenant: Tenant.ID, _ page: Page, limit: Int, _ connection: isolated MySQLConnection
    ) throws -> [SeenRow] {
        let order = page.walksUp ? "ASC" : "DESC"
        let bounds: [MySQLValue] = [
            .integer(max(page.lowerBound, 0)), .integer(min(page.upperBound, NumberedTable.lastNumber + 1)),
            .integer(Int64(limit)),
        ]
        var rows: [Int64: SeenRow] = [:]
        func note(_ row: borrowing MySQLRow) -> Bool {
            rows[row.integer(0)] = SeenRow(row)
            return true
        }
        try connection.query(
            """
            SELECT \(SeenRow.columns) FROM chats FORCE INDEX (index_chats_on_application_and_access)
            LEFT JOIN chat_members ON chat_id = chats.id AND user_id = ?
            WHERE chats.application_id = ? AND access = \(Chat.Access.open.rawValue)
            AND number > ? AND number < ? AND batch_id >= 0
            AND (removed_at IS NOT NULL OR IFNULL(role, 0) <> \(Member.Role.banned.rawValue))
            ORDER BY number \(order) LIMIT ?
            """, [.user(user), .integer(tenant.rawValue)] + bounds, each: note)
        try connection.query(
            """
            SELECT \(SeenRow.columns) FROM chat_members FORCE INDEX (index_chat_members_of_user_by_number)
            STRAIGHT_JOIN chats ON chats.id = chat_id
            WHERE chat_members.application_id = ? AND user_id = ? AND chat_number > ? AND chat_number < ?
            AND batch_id >= 0 AND (removed_at IS NOT NULL OR role <> \(Member.Role.banned.rawValue))
            ORDER BY chat_number \(order) LIMIT ?
            """, [.integer(tenant.rawValue), .user(user)] + bounds, each: note)
        return rows.values.sorted { ($0.number < $1.number) == page.walksUp }.prefix(limit).map(\.self)
    }

    func chats(in tenant: Tenant.ID, page: Page) async throws -> PageOf<Chat> {
        let (rows, isPreceded) = try await read(.chats) { connection in
            var rows: [UncountedChat] = []
            var walk = self.walk(.chats, of: tenant.rawValue, page, columns: UncountedChat.columns)
            try walk.run(limit: page.limit + 1, connection) { row in
                rows.append(UncountedChat(row))
                return true
            }
            // A number that becomes void between the two statements is counted in this answer.
            let messages = try ChatCount.messages(after: rows.map(\.counted), connection)
            let chats = rows.map { CountedChat($0, uncounted: messages[$0.counted.owner] ?? 0) }
            return (chats, try self.isPreceded(page, in: .chats, of: tenant.rawValue, connection))
        }
        for row in rows { counting.advance(row.count, self) }
        return PageOf(walked: rows.map(\.chat), page: page, isPrecededBy: isPreceded)
    }
}

/// A row of a list, before its messages after the counted number are counted.
private struct UncountedChat: Sendable {
    static let columns = "\(NumberedWalk.columns), id, \(rest)"
    /// Beside another table.
    static let walkedColumns = "\(NumberedWalk.columns), chats.id, \(rest)"
    static let columnCount = 11
    private static let rest = "chats.created_at, counted_number, void_count, \(ChatSettingsRow.columns)"

    let number: Int64
    let createdAt: Timestamp
    let counted: OwnedNumber
    let voids: Int64
    let settings: Chat.Settings

    init(_ row: borrowing MySQLRow) {
        self.number = row.integer(0)
        self.createdAt = Timestamp(microseconds: row.timestamp(3))
        self.counted = OwnedNumber(owner: row.integer(2), number: row.integer(4))
        self.voids = row.integer(5)
        self.settings = ChatSettingsRow.settings(row, from: 6)
    }
}

/// A chat that is there for a user, before its messages are counted.
private struct SeenRow: Sendable {
    static let columns = "\(UncountedChat.walkedColumns), \(MemberTable.columns)"

    private let chat: UncountedChat
    private let member: Member?
    private let numbers: NumberSpan

    var number: Int64 { chat.number }

    /// - Returns: nil if the chat is not there for the user.
    init?(_ row: borrowing MySQLRow) {
        let column = UncountedChat.columnCount
        chat = UncountedChat(row)
        member = row.isNull(column) ? nil : MemberTable.member(row, from: column)
        guard let standing = Standing(access: chat.settings.access, member: member) else { return nil }
        numbers = standing.numbers
    }

    var count: VisibleCount {
        VisibleCount(chat: chat.counted.owner, counted: chat.counted.number, voids: chat.voids, numbers: numbers)
    }

    func seen(_ messages: [Int64: Int64]) -> SeenChat? {
        let id = chat.counted.owner
        return SeenChat(
            id: Chat.ID(id),
            chat: Chat(
                number: Chat.Number(chat.number), messagesCount: messages[id] ?? 0, createdAt: chat.createdAt,
                settings: chat.settings),
            member: member)
    }
}

private struct CountedChat: Sendable {
    static let columns = "number, created_at, \(ChatSettingsRow.columns), \(ChatCount.columns)"

    let chat: Chat
    let count: ChatCount

    init(_ row: UncountedChat, uncounted: Int64) {
        self.count = ChatCount(
            chat: row.counted.owner, counted: row.counted.number, voids: row.voids, uncounted: uncounted)
        self.chat = Chat(
            number: Chat.Number(row.number), messagesCount: count.messages, createdAt: row.createdAt,
            settings: row.settings)
    }

    init(_ row: borrowing MySQLRow) {
        self.count = ChatCount(row, from: 2 + ChatSettingsRow.count)
        self.chat = Chat(
            number: Chat.Number(row.integer(0)),
            messagesCount: count.messages,
            createdAt: Timestamp(microseconds: row.timestamp(1)),
            settings: ChatSettingsRow.settings(row, from: 2)
        )
    }
}

extension MySQLStore: NewChatLog {
    func append(
        _ batch: [NewChat], at now: Timestamp, within time: Duration
    ) async throws -> [Result<AppendedChat, ChatError>] {
        var append = NumberedAppend(batch, to: chatLog, at: now, within: time) { rows, voids, id, stripe, connection in
            let places = rows.map { ($0.place, id, batch[$0.entry].settings) }
            let all = places + voids.map { ($0, BatchID.void, Chat.Settings()) }
            for some in all.statements(within: connection.facts.maxPacket, values: { $0.2.size }) {
                try connection.execute(
                    """
                    INSERT INTO chats (application_id, number, created_at, updated_at, batch_id,
                        \(ChatSettingsRow.insertedColumns))
                    VALUES \(some.map { _ in "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" }.joined(separator: ", "))
                    """,
                    some.flatMap { place, id, settings -> [MySQLValue] in
                        [
                            .integer(place.owner), .integer(place.number), .timestamp(now.microseconds),
                            .timestamp(now.microseconds), .integer(id),
                        ] + settings.values
                    })
            }
            for row in rows {
                guard let owner = batch[row.entry].author.user else { continue }
                try MemberTable.add(owner: owner, of: row.place, at: now, connection)
            }
            try ApplicationCounts(stripe: stripe).add(chats: rows.map(\.place.owner), connection)
        }
        let fates = try await append.run()
        return fates.map { fate in
            switch fate {
            case .stored(let number):
                .success(AppendedChat(id: nil, number: Chat.Number(number), isReplay: false))
            case .replayed(let number, _):
                .success(AppendedChat(id: nil, number: Chat.Number(number), isReplay: true))
            case .refused(let error): .failure(error)
            }
        }
    }
}
