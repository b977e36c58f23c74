import ChatCore
import MySQLClient
import RedisClient
import Synchronization
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// Servers of the version before write on while the search index comes into the schema, and after: what they answer is found
/// at once.
///
/// Those versions cannot be built here. `OldServer` runs the statements that they ran, recorded from their source.
@Suite(.timeLimit(.minutes(2))) struct SearchMigrationTests {
    /// The last step that each of them knew: without blocks, with blocks that have no times, without the engine's tables,
    /// without keys.
    static let versions = ["20261129000002", "20261129000003", "20261129000004", "20261129000005"]

    /// A server of a version before.
    private final class OldServer: Sendable {
        private let connection: MySQLConnection
        private let state = Mutex((sent: [(chat: Int64, number: Int64, word: String)](), batch: Int64(1)))
        static let (application, chats): (Int64, [Int64]) = (7, [71, 72, 73])

        init(_ configuration: ClusterConfiguration) async throws {
            connection = try await MySQLConnection.connect(configuration.mysql)
            try await connection.perform { connection in
                let time = "UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)"
                try connection.run(
                    """
                    INSERT INTO applications (id, name, token, created_at, updated_at)
                    VALUES (\(Self.application), 'old', REPEAT('a', 32), \(time))
                    """)
                for (index, chat) in Self.chats.enumerated() {
                    try connection.run(
                        """
                        INSERT INTO chats (id, application_id, number, created_at, updated_at, batch_id)
                        VALUES (\(chat), \(Self.application), \(index + 1), \(time), 1)
                        """)
                }
                try connection.run("INSERT INTO application_counts VALUES (\(Self.application), 0, 3, 0)")
            }
        }

        deinit { Task { [connection] in await connection.close() } }

        var sent: [(chat: Int64, number: Int64, word: String)] { state.withLock(\.sent) }

        /// Stores a message, as `MySQLStore.apply` did.
        @discardableResult
        func send(_ filler: String = "") async throws -> (chat: Int64, number: Int64, word: String) {
            let (message, batch) = state.withLock { state in
                let chat = Self.chats[state.sent.count % Self.chats.count]
                let number = Int64(state.sent.count { $0.chat == chat } + 1)
                let message = (chat: chat, number: number, word: "word\(state.sent.count)x")
                state.sent.append(message)
                state.batch += 1
                return (message, state.batch)
            }
            try await connection.perform { connection in
                try connection.transaction { connection in
                    try connection.execute(
                        """
                        INSERT INTO messages (chat_id, number, body, created_at, updated_at, batch_id)
                        VALUES (?, ?, ?, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), ?)
                        """,
                        [
                            .integer(message.chat), .integer(message.number), .text(message.word + filler),
                            .integer(batch),
                        ])
                    try connection.execute(
                        """
                        INSERT INTO application_counts (application_id, stripe, messages) VALUES (?, ?, ?)
                        ON DUPLICATE KEY UPDATE messages = messages + VALUES(messages)
                        """, [.integer(Self.application), .integer(0), .integer(1)])
                    try connection.execute(
                        """
                        INSERT INTO log_changes (changed_at, scope, scope_id, batch_id, number)
                        VALUES (UTC_TIMESTAMP(6), ?, ?, ?, ?)
                        """, [.integer(1), .integer(message.chat), .integer(batch), .integer(message.number)])
                }
            }
            return message
        }

        /// Stores a block without times of all that it has sent to a chat, as the indexer of 20261129000003 did.
        func index(_ chat: Int64) async throws {
            let sent = sent.filter { $0.chat == chat }
            guard let last = sent.last?.number else { return }
            let folded = sent.reduce(into: [UInt8]()) { $0 += Array($1.word.utf8) + [0] }
            try await connection.perform { connection in
                try connection.transaction { connection in
                    try connection.execute(
                        """
                        INSERT IGNORE INTO search_heads (chat_id, indexed_to, edits)
                        SELECT id, 0, 0 FROM chats WHERE id = ?
                        """, [.integer(chat)])
                    _ = try connection.rows(
                        "SELECT indexed_to, edits FROM search_heads WHERE chat_id = ? FOR UPDATE", [.integer(chat)]
                    ) { $0.integer(0) }
                    try connection.execute(
                        "DELETE FROM search_blocks WHERE chat_id = ? AND first >= ? AND first <= ? AND last >= ?",
                        [.integer(chat), .integer(1), .integer(last), .integer(1)])
                    try connection.execute(
                        """
                        INSERT INTO search_blocks (
                            chat_id, first, last, application_id, fold_version, count, oldest_at, newest_at, numbers, folded
                        ) SELECT id, ?, ?, application_id, ?, ?, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), ?, ?
                        FROM chats WHERE id = ?
                        """,
                        [
                            .integer(1), .integer(last), .integer(1), .integer(last), .bytes([]), .bytes(folded),
                            .integer(chat),
                        ])
                    try connection.execute(
                        "UPDATE search_heads SET indexed_to = ? WHERE chat_id = ?", [.integer(last), .integer(chat)])
                }
            }
        }
    }

    @Test(arguments: versions)
    func whatAServerOfTheVersionBeforeWritesIsFound(_ version: String) async throws {
        let configuration = try await TestCluster.configuration()
        try await TestDatabase.perform(configuration) { connection in
            for migration in Migration.all where migration.version <= version {
                _ = try Migrator.apply(migration, connection)
            }
        }
        let old = try await OldServer(configuration)
        let makesBlocks = version == "20261129000003"
        for _ in 0..<60 { try await old.send() }
        if makesBlocks { for chat in OldServer.chats { try await old.index(chat) } }
        // It writes on while the schema changes.
        let isDone = Mutex(false)
        async let writing: Void = {
            while !isDone.withLock(\.self) { try await old.send() }
        }()
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        let applied = try await keeper.migrate()
        isDone.withLock { $0 = true }
        try await writing
        #expect(applied == Migration.all.map(\.version).filter { $0 > version })
        #expect(old.sent.count > 60)

        let store = try await MySQLStore(configuration, logger: TestCluster.logger)
        try await store.run { store in
            var limits = SearchIndexLimits()
            limits.smallest = 1
            let indexer = SearchIndexer(
                index: store, messages: store, readers: store, log: store, limits: limits, logger: TestCluster.logger)
            func expectFound(_ message: (chat: Int64, number: Int64, word: String)) async throws {
                let query = SearchQuery(try SearchText(message.word))
                let inChat = try await store.search(query, in: Chat.ID(message.chat), page: Page())
                #expect(inChat.items.map(\.number.rawValue) == [message.number], "\(message)")
                let everywhere = try await store.search(
                    query, in: Tenant.ID(OldServer.application), page: TenantSearchPage())
                #expect(everywhere.hits.map(\.message.number.rawValue) == [message.number], "\(message)")
            }
            func expectAllFound() async throws {
                let query = SearchQuery(try SearchText("word"))
                for chat in OldServer.chats {
                    let found = try await store.search(query, in: Chat.ID(chat), page: Page(limit: 1000))
                    #expect(found.items.map(\.number.rawValue) == old.sent.filter { $0.chat == chat }.map(\.number))
                }
                let everywhere = try await store.search(
                    query, in: Tenant.ID(OldServer.application), page: TenantSearchPage(limit: 1000))
                #expect(everywhere.hits.count == old.sent.count)
            }
            try await expectAllFound()
            // Both versions run side by side, with their indexers.
            for round in 0..<30 {
                try await expectFound(old.send())
                if round % 5 == 2 { try await indexer.walk() }
                if makesBlocks, round % 5 == 4 { try await old.index(OldServer.chats[round % 3]) }
            }
            try await expectAllFound()
            try await indexer.walk()
            try await expectAllFound()
            let findings = try await SearchVerifier(index: store, messages: store).verify()
            #expect(findings.problems == [] && findings.messages == Int64(old.sent.count))
        }
        let problems = try await keeper.verify(mends: false) { _, _ in }.problems
        #expect(problems == [])
    }
}
