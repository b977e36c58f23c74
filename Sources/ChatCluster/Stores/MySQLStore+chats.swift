import ChatCore
import MySQLClient

extension NewChat: NumberedEntry {
    var owner: Int64 { tenant.rawValue }
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
    static let columns = "\(NumberedWalk.columns), id, created_at, counted_number, void_count"

    let number: Int64
    let createdAt: Timestamp
    let counted: OwnedNumber
    let voids: Int64

    init(_ row: borrowing MySQLRow) {
        self.number = row.integer(0)
        self.createdAt = Timestamp(microseconds: row.timestamp(3))
        self.counted = OwnedNumber(owner: row.integer(2), number: row.integer(4))
        self.voids = row.integer(5)
    }
}

private struct CountedChat: Sendable {
    static let columns = "number, created_at, \(ChatCount.columns)"

    let chat: Chat
    let count: ChatCount

    init(_ row: UncountedChat, uncounted: Int64) {
        self.count = ChatCount(
            chat: row.counted.owner, counted: row.counted.number, voids: row.voids, uncounted: uncounted)
        self.chat = Chat(
            number: Chat.Number(row.number), messagesCount: count.messages, createdAt: row.createdAt)
    }

    init(_ row: borrowing MySQLRow) {
        self.count = ChatCount(row, from: 2)
        self.chat = Chat(
            number: Chat.Number(row.integer(0)),
            messagesCount: count.messages,
            createdAt: Timestamp(microseconds: row.timestamp(1))
        )
    }
}

extension MySQLStore: NewChatLog {
    func append(
        _ batch: [NewChat], at now: Timestamp, within time: Duration
    ) async throws -> [Result<AppendedChat, ChatError>] {
        var append = NumberedAppend(batch, to: chatLog, at: now, within: time) { rows, voids, id, stripe, connection in
            let places = rows.map { ($0.place, id) } + voids.map { ($0, BatchID.void) }
            for some in places.statements(within: connection.facts.maxPacket) {
                try connection.execute(
                    """
                    INSERT INTO chats (application_id, number, created_at, updated_at, batch_id)
                    VALUES \(some.map { _ in "(?, ?, ?, ?, ?)" }.joined(separator: ", "))
                    """,
                    some.flatMap { place, id -> [MySQLValue] in
                        [
                            .integer(place.owner), .integer(place.number), .timestamp(now.microseconds),
                            .timestamp(now.microseconds), .integer(id),
                        ]
                    })
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
