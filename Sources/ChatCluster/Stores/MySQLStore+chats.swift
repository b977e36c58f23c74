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
        try await read(.chats) { connection in
            let found = try Self.seenChats(by: user, in: tenant, page, limit: page.limit + 1, connection)
            let behind = try page.behind.map { try Self.seenChats(by: user, in: tenant, $0, limit: 1, connection) }
            return PageOf(
                walked: try Self.counted(found, connection), page: page, isPrecededBy: behind?.isEmpty == false)
        }
    }

    func chats(
        seenBy user: User.ID, among numbers: [Chat.Number], in tenant: Tenant.ID
    ) async throws -> [SeenChat] {
        guard !numbers.isEmpty else { return [] }
        let some = numbers.padded
        return try await read(.chats) { connection in
            let found = try Self.seenChats(
                by: user, in: tenant, "number IN (\(some.map { _ in "?" }.joined(separator: ", ")))",
                some.map { .integer($0.rawValue) }, "ASC", limit: some.count, connection)
            return try Self.counted(found, connection)
        }
    }

    private static func counted(
        _ found: [(chat: UncountedChat, member: Member?)], _ connection: isolated MySQLConnection
    ) throws -> [SeenChat] {
        let counts = try ChatCount.messages(after: found.map(\.chat.counted), connection)
        return found.compactMap { row, member in
            let id = row.counted.owner
            return SeenChat(id: Chat.ID(id), chat: CountedChat(row, uncounted: counts[id] ?? 0).chat, member: member)
        }
    }

    private static func seenChats(
        by user: User.ID, in tenant: Tenant.ID, _ page: Page, limit: Int, _ connection: isolated MySQLConnection
    ) throws -> [(chat: UncountedChat, member: Member?)] {
        try seenChats(
            by: user, in: tenant, "number > ? AND number < ?",
            [.integer(max(page.lowerBound, 0)), .integer(min(page.upperBound, NumberedTable.lastNumber + 1))],
            page.walksUp ? "ASC" : "DESC", limit: limit, connection)
    }

    /// - Parameters:
    ///   - condition: for the numbers.
    ///   - order: of the numbers.
    private static func seenChats(
        by user: User.ID, in tenant: Tenant.ID, _ condition: String, _ values: [MySQLValue], _ order: String,
        limit: Int,
        _ connection: isolated MySQLConnection
    ) throws -> [(chat: UncountedChat, member: Member?)] {
        try connection.rows(
            """
            SELECT \(UncountedChat.walkedColumns), \(MemberTable.columns)
            FROM \(NumberedTable.chats.byNumber)
            LEFT JOIN chat_members ON chat_id = chats.id AND user_id = ?
            WHERE chats.application_id = ? AND \(condition) AND batch_id >= 0
            AND (access = \(Chat.Access.open.rawValue) OR user_id IS NOT NULL)
            AND (removed_at IS NOT NULL OR IFNULL(role, 0) <> \(Member.Role.banned.rawValue))
            ORDER BY number \(order) LIMIT ?
            """, [.text(user.text), .integer(tenant.rawValue)] + values + [.integer(Int64(limit))]
        ) { row in
            let column = UncountedChat.columnCount
            return (UncountedChat(row), row.isNull(column) ? nil : MemberTable.member(row, from: column))
        }
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
    static let columnCount = 10
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
                    VALUES \(some.map { _ in "(?, ?, ?, ?, ?, ?, ?, ?, ?)" }.joined(separator: ", "))
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
