import ChatCore
import MySQLClient
import Synchronization
import TestSupport
import Testing

@testable import ChatCluster

/// Servers of before access write on while its tables and columns come into the schema, and after: nothing of theirs is
/// lost, and to this version all of it is what the defaults say.
///
/// That version cannot be built here. `OldServer` runs the statements that it ran, recorded from its source.
@Suite(.timeLimit(.minutes(2))) struct AccessMigrationTests {
    /// The last step that the version before access knew, and those of versions since.
    static let versions = ["20261129000005", "20261130000002", "20261201000002", "20261202000004", "20261203000002"]

    /// A server of the version before.
    private final class OldServer: Sendable {
        struct Contents {
            /// Names, by tokens.
            var applications: [String: String] = [:]
            /// Bodies, by the ids of their chats, in the order of their numbers.
            var messages: [Int64: [String]] = [:]
            /// The chats of each application, by its token, in the order of their numbers.
            var chats: [String: [Int64]] = [:]
            var batch: Int64 = 1
        }

        private let connections: [MySQLConnection]
        private let state = Mutex(Contents())
        private let isStopped = Mutex(false)

        init(_ configuration: ClusterConfiguration) async throws {
            var connections: [MySQLConnection] = []
            for _ in 0..<4 { connections.append(try await MySQLConnection.connect(configuration.mysql)) }
            self.connections = connections
        }

        deinit { Task { [connections] in for connection in connections { await connection.close() } } }

        /// What it has answered.
        var contents: Contents { state.withLock(\.self) }

        func stop() { isStopped.withLock { $0 = true } }

        /// Works like several clients, until it is stopped or for so many turns each.
        func work(turns: Int = .max) async throws {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for (client, connection) in connections.enumerated() {
                    tasks.addTask { [self] in
                        let token = Tenant.Token.random().text
                        let application = try await create(token, connection)
                        var turn = 0
                        while turn < turns, !isStopped.withLock(\.self) {
                            if turn % 7 == 0 { try await makeChat(in: application, token, connection) }
                            if turn % 5 == 3 { try await rename(application, token, "renamed \(turn)", connection) }
                            try await send("\(client) \(turn) é😀", token, application, connection)
                            turn += 1
                        }
                    }
                }
                try await tasks.waitForAll()
            }
        }

        private func create(_ token: String, _ connection: MySQLConnection) async throws -> Int64 {
            let id = try await connection.perform { connection in
                _ = try connection.transaction { connection in
                    try connection.execute(
                        "INSERT INTO applications (name, token, created_at, updated_at) VALUES (?, ?, ?, ?)",
                        [.text("made"), .text(token), .timestamp(1), .timestamp(1)])
                }
                return try connection.first("SELECT id FROM applications WHERE token = ?", [.text(token)]) {
                    $0.integer(0)
                }
            }
            state.withLock { $0.applications[token] = "made" }
            return try #require(id)
        }

        private func rename(
            _ id: Int64, _ token: String, _ name: String, _ connection: MySQLConnection
        ) async throws {
            try await connection.perform { connection in
                try connection.transaction { connection in
                    let stored = try connection.first(
                        "SELECT token FROM applications WHERE id = ? FOR UPDATE", [.integer(id)]
                    ) { $0.text(0) }
                    #expect(stored == token)
                    try connection.execute(
                        "UPDATE applications SET name = ?, updated_at = ? WHERE id = ?",
                        [.text(name), .timestamp(2), .integer(id)])
                }
            }
            state.withLock { $0.applications[token] = name }
        }

        private func makeChat(in application: Int64, _ token: String, _ connection: MySQLConnection) async throws {
            let (number, batch) = state.withLock { state in
                state.batch += 1
                return (Int64(state.chats[token]?.count ?? 0) + 1, state.batch)
            }
            let id = try await connection.perform { connection in
                try connection.transaction { connection in
                    try connection.execute(
                        """
                        INSERT INTO chats (application_id, number, created_at, updated_at, batch_id)
                        VALUES (?, ?, ?, ?, ?)
                        """, [.integer(application), .integer(number), .timestamp(1), .timestamp(1), .integer(batch)])
                    try Self.count("chats", application, connection)
                }
                return try connection.first(
                    "SELECT id FROM chats WHERE application_id = ? AND number = ?",
                    [.integer(application), .integer(number)]
                ) { $0.integer(0) }
            }
            let chat = try #require(id)
            state.withLock { $0.chats[token, default: []].append(chat) }
        }

        private func send(
            _ body: String, _ token: String, _ application: Int64, _ connection: MySQLConnection
        ) async throws {
            let (chat, number, batch) = state.withLock { state in
                state.batch += 1
                let chats = state.chats[token] ?? []
                let chat = chats[Int(state.batch) % chats.count]
                return (chat, Int64(state.messages[chat]?.count ?? 0) + 1, state.batch)
            }
            try await connection.perform { connection in
                try connection.transaction { connection in
                    try connection.execute(
                        """
                        INSERT INTO messages (chat_id, number, body, created_at, updated_at, batch_id)
                        VALUES (?, ?, ?, ?, ?, ?)
                        """,
                        [
                            .integer(chat), .integer(number), .text(body), .timestamp(3), .timestamp(3),
                            .integer(batch),
                        ])
                    try connection.execute(
                        """
                        INSERT INTO idempotency_keys (scope, scope_id, idempotency_key, fingerprint, number, created_at)
                        VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(6))
                        """,
                        [
                            .integer(1), .integer(chat), .bytes(Array(body.utf8)), .bytes([1]), .integer(number),
                        ])
                    try Self.count("messages", application, connection)
                    try connection.execute(
                        """
                        INSERT INTO log_changes (changed_at, scope, scope_id, batch_id, number)
                        VALUES (UTC_TIMESTAMP(6), ?, ?, ?, ?)
                        """, [.integer(1), .integer(chat), .integer(batch), .integer(number)])
                }
            }
            state.withLock { $0.messages[chat, default: []].append(body) }
        }

        private static func count(
            _ column: String, _ application: Int64, _ connection: isolated MySQLConnection
        ) throws {
            try connection.execute(
                """
                INSERT INTO application_counts (application_id, stripe, \(column)) VALUES (?, ?, ?)
                ON DUPLICATE KEY UPDATE \(column) = \(column) + VALUES(\(column))
                """, [.integer(application), .integer(0), .integer(1)])
        }
    }

    @Test(arguments: versions)
    func nothingOfAVersionBeforeIsLost(_ version: String) async throws {
        let configuration = try await TestCluster.configuration()
        try await TestDatabase.perform(configuration) { connection in
            for migration in Migration.all where migration.version <= version {
                _ = try Migrator.apply(migration, connection)
            }
        }
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        let old = try await OldServer(configuration)
        try await old.work(turns: 20)
        let before = old.contents.messages.values.reduce(0) { $0 + $1.count }
        let working = Task { try await old.work() }
        let applied = try await keeper.migrate()
        #expect(applied == Migration.all.map(\.version).filter { $0 > version })

        let store = try await MySQLStore(configuration, logger: TestCluster.logger)
        try await store.run { store in
            // Both versions side by side.
            let count = old.contents.messages.values.reduce(0) { $0 + $1.count }
            try await eventually("it works on with the new schema") {
                old.contents.messages.values.reduce(0) { $0 + $1.count } >= count + 20
            }
            try await expectAll(of: old.contents, store)
            old.stop()
            try await working.value
            let contents = old.contents
            #expect(contents.messages.values.reduce(0) { $0 + $1.count } > before)
            try await expectAll(of: contents, store)

            // What this version does with them.
            let (text, chats) = try #require(contents.chats.first)
            let token = try #require(Tenant.Token(text))
            let tenant = try #require(try await store.id(of: token))
            for chat in chats {
                let sent = contents.messages[chat]?.count ?? 0
                let message = NewMessage(tenant: tenant, chat: Chat.ID(chat), body: "new")
                let number = try await store.append([message], at: TestCluster.time)[0].get().number
                #expect(number.rawValue == Int64(sent) + 1)
            }
        }
        #expect(try await keeper.migrate() == [])
        #expect(try await keeper.verify(mends: false) { _, _ in }.problems == [])
        let nameless = "SELECT COUNT(*) FROM applications WHERE public_id IS NULL"
        #expect(try await TestDatabase.integers(configuration, nameless) == [0])
        let restricted = "SELECT COUNT(*) FROM chats WHERE access <> 0 OR history <> 0"
        #expect(try await TestDatabase.integers(configuration, restricted) == [0])
    }

    private func expectAll(of contents: OldServer.Contents, _ store: MySQLStore) async throws {
        var ids: Set<String> = []
        for (token, name) in contents.applications {
            let token = try #require(Tenant.Token(token))
            let identity = try #require(try await store.identity(of: .token(token)))
            #expect(identity.pathToken == .credential && !identity.isSuspended && identity.rules == nil)
            let tenant = try #require(try await store.tenant(identity.id))
            // It may be renamed again meanwhile.
            #expect(tenant.name == name || tenant.name.hasPrefix("renamed "))
            #expect(ids.insert(tenant.publicID.text).inserted)
            #expect(try await store.identity(of: .publicID(tenant.publicID))?.id == identity.id)
            let listed = try await store.chats(in: identity.id, page: Page(limit: 1000)).items
            let chats = contents.chats[token.text] ?? []
            #expect(listed.count >= chats.count && listed.allSatisfy { $0.settings.access == .open })
            #expect(listed.map(\.number.rawValue) == (0..<listed.count).map { Int64($0) + 1 })
        }
        for (chat, bodies) in contents.messages {
            let found = try await store.messages(in: Chat.ID(chat), page: Page(limit: 1000)).items
            #expect(Array(found.map(\.body).prefix(bodies.count)) == bodies)
            #expect(found.map(\.number.rawValue) == (0..<found.count).map { Int64($0) + 1 })
            #expect(found.allSatisfy { $0.content.sender == nil })
        }
    }
}
