import MySQLClient
import RedisClient
import TestSupport

@testable import ChatCluster
@testable import ChatCore
@testable import ChatSQLite

extension TestBackend {
    enum Change {
        case body(String)
        case metadata(String)
        case mentions([String])
        case delete
        case react(String, String)
        case unreact(String, String)
        case pin
        case unpin

        var action: MessageChange.Action {
            switch self {
            case .body(let body): .edit(MessagePatch(body: body))
            case .metadata(let json): .edit(MessagePatch(metadata: Array(json.utf8)))
            case .mentions(let users): .edit(MessagePatch(mentions: try? Mentions(naming: users)))
            case .delete: .delete
            case .react(let name, let user): .react(Reaction(Reaction.Name(name)!, by: User.ID(user)!))
            case .pin: .pin(.pin(by: nil))
            case .unpin: .pin(.unpin)
            case .unreact(let name, let user):
                .react(Reaction(Reaction.Name(name)!, by: User.ID(user)!, isTakenBack: true))
            }
        }
    }

    func place(of chat: Chat.ID) async throws -> ChatPlace {
        for number in 1...100 {
            let number = Chat.Number(Int64(number))
            guard try await backend.chats.id(of: number, in: tenant) == chat else { continue }
            return ChatPlace(id: chat, number: number, tenant: tenant, token: token)
        }
        throw ChatError.notFound
    }

    func change(
        _ chat: Chat.ID, _ number: Int64, _ change: Change, key: String? = nil, rules: EditRules = EditRules()
    ) async throws -> MessageChange {
        let number = Message.Number(number)
        let key = try key.map {
            try IdempotencyKey($0, content: MessageChange.fingerprinted(change.action, of: number))
        }
        return MessageChange(
            chat: try await place(of: chat), number: number, action: change.action, key: key, rules: rules)
    }

    /// Carries out one batch.
    @discardableResult
    func revise(
        _ changes: [(chat: Chat.ID, number: Int64, change: Change)], at time: Timestamp = time,
        rules: EditRules = EditRules()
    ) async throws -> [Result<ChangedMessage, ChatError>] {
        var batch: [MessageChange] = []
        for each in changes { batch.append(try await change(each.chat, each.number, each.change, rules: rules)) }
        return try await backend.changes.revise(batch, at: time)
    }

    /// How many rows a table has.
    func rows(_ table: String) async throws -> Int {
        switch backend.searchIndex {
        case let store as SQLiteStore:
            try store.write { db in
                let query = try Query(db, "SELECT count(*) FROM \(table)")
                return try query.next() ? Int(query.integer(0)) : 0
            }
        case let store as MySQLStore:
            try await store.scans.withConnection { connection in
                Int(try connection.first("SELECT COUNT(*) FROM \(table)") { $0.integer(0) } ?? 0)
            }
        default: preconditionFailure("no such store")
        }
    }

    /// Changes rows, as nothing does.
    func update(_ change: String) async throws {
        switch backend.searchIndex {
        case let store as SQLiteStore: try store.write { try Query($0, "UPDATE \(change)").run() }
        case let store as MySQLStore:
            try await store.writes.withConnection { _ = try $0.execute("UPDATE \(change)") }
        default: preconditionFailure("no such store")
        }
    }

    /// Stores a message above a gap whose numbers are old, in a cluster.
    func insert(_ number: Int64, in chat: Chat.ID) async throws {
        guard let store = backend.searchIndex as? MySQLStore else { return }
        try await store.writes.withConnection { connection in
            _ = try connection.execute(
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                VALUES (?, ?, 'late', '2025-01-01', '2025-01-01')
                """, [.integer(chat.rawValue), .integer(number)])
        }
    }

    /// The texts of the blocks of a chat.
    func blocks(of chat: Chat.ID) async throws -> [String] {
        let index = backend.searchIndex
        var texts: [String] = []
        for outline in try await index.outlines(of: chat, after: 0, limit: 1000) {
            guard let block = try await index.block(of: chat, at: outline.span.lowerBound) else { continue }
            texts.append(String(decoding: block.folded, as: UTF8.self))
        }
        return texts
    }

    /// What waits in Redis for workers.
    func jobs() async throws -> [String] {
        guard let store = backend.searchIndex as? MySQLStore else { return [] }
        return try await store.redisTexts()
    }

    /// All texts in the tables, and in Redis.
    func everythingStored() async throws -> [String] {
        switch backend.searchIndex {
        case let store as SQLiteStore: try store.texts()
        case let store as MySQLStore: try await store.texts() + store.redisTexts()
        default: preconditionFailure("no such store")
        }
    }
}

extension MessageChanges {
    func revise(_ batch: [MessageChange], at now: Timestamp) async throws -> [Result<ChangedMessage, ChatError>] {
        try await revise(batch, at: now, within: .seconds(60))
    }
}

extension SQLiteStore {
    /// What the tables hold that is text.
    fileprivate func texts() throws -> [String] {
        try write { db in
            var tables: [String] = []
            let names = try Query(db, "SELECT name FROM sqlite_master WHERE type = 'table'")
            while try names.next() { tables.append(names.text(0)) }
            var texts: [String] = []
            for table in tables {
                var columns: [String] = []
                let info = try Query(db, "SELECT name FROM pragma_table_info('\(table)')")
                while try info.next() { columns.append(info.text(0)) }
                let rows = try Query(
                    db, "SELECT \(columns.map { "\"\($0)\"" }.joined(separator: ", ")) FROM \"\(table)\"")
                while try rows.next() {
                    for index in columns.indices { texts.append(rows.text(CInt(index))) }
                }
            }
            return texts
        }
    }
}

extension MySQLStore {
    fileprivate func texts() async throws -> [String] {
        try await scans.withConnection { connection in
            let columns = try connection.rows(
                """
                SELECT table_name, column_name FROM information_schema.columns
                WHERE table_schema = DATABASE() AND data_type NOT LIKE '%int' AND data_type <> 'datetime'
                """
            ) { ($0.text(0), $0.text(1)) }
            return try columns.flatMap { table, column in
                try connection.rows("SELECT `\(column)` FROM `\(table)`") { $0.text(0) }
            }
        }
    }

    fileprivate func redisTexts() async throws -> [String] {
        func texts(_ value: RedisValue) -> [String] {
            (value.array ?? []).flatMap(texts) + [value.string].compactMap(\.self)
        }
        var found: [String] = []
        for key in texts(try await redis.send(RedisCommand("KEYS", "*"))) {
            found.append(key)
            let command: [String]? =
                switch try await redis.send(RedisCommand("TYPE", key)).string {
                case "string": ["GET", key]
                case "list": ["LRANGE", key, "0", "-1"]
                case "hash": ["HGETALL", key]
                case "set": ["SMEMBERS", key]
                case "zset": ["ZRANGE", key, "0", "-1"]
                default: nil
                }
            if let command { found += texts(try await redis.send(RedisCommand(command))) }
        }
        return found
    }
}
