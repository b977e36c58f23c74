import ChatCore
import MySQLClient
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// The schema from empty to newest, however often and from whichever process the migration runs.
@Suite(.timeLimit(.minutes(2))) struct MigrationTests {
    private static let versions = Migration.all.map(\.version)
    private static let tables = [
        "access_changes", "application_counts", "application_keys", "applications", "audit", "audit_heads",
        "chat_changes", "chat_heads", "chat_members", "chat_reads", "chats", "deployment", "idempotency_keys",
        "job_positions", "jwt_keys", "log_changes", "log_cursors", "member_changes", "message_reactions",
        "message_versions", "message_voids", "messages", "pins", "removals", "schema_migrations", "search_blocks",
        "search_generations", "search_heads", "thread_heads", "thread_replies", "users", "void_runs",
    ]

    @Test func anEmptyDatabaseGetsEverything() async throws {
        let configuration = try await TestCluster.configuration()
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        let before = try await keeper.status()
        #expect(before.applied == [] && before.pending == Self.versions)
        #expect(try await keeper.migrate() == Self.versions)
        #expect(try await keeper.migrate() == [])
        let after = try await keeper.status()
        #expect(after.applied == Self.versions && after.pending == [])
        #expect(after.engine.hasPrefix("MariaDB ") || after.engine.hasPrefix("MySQL "))
        #expect(try await TestDatabase.tables(configuration) == Self.tables)
    }

    @Test func anEmptyDatabaseNeedsNoRedis() async throws {
        let keeper = MySQLKeeper(
            try await TestCluster.configuration(redis: TestDatabase.deadRedis), logger: TestCluster.logger)
        #expect(try await keeper.migrate() == Self.versions)
    }

    @Test(arguments: [2, 4])
    func atOnceItIsDoneOnce(_ count: Int) async throws {
        let configuration = try await TestCluster.configuration()
        let applied = try await withThrowingTaskGroup(of: [String].self) { tasks in
            for _ in 0..<count {
                tasks.addTask { try await MySQLKeeper(configuration, logger: TestCluster.logger).migrate() }
            }
            return try await tasks.reduce(into: []) { $0.append($1) }
        }
        #expect(applied.filter { !$0.isEmpty } == [Self.versions])
        #expect(applied.count == count)
        #expect(try await TestDatabase.tables(configuration) == Self.tables)
    }

    /// A migrator on another node of a Galera cluster may reach a step so late that servers already work with the new
    /// schema.
    @Test func aStepThatIsTakenAgainDoesNoHarm() async throws {
        try await TestCluster.run { test in
            try await test.send(3)
            let again = try await TestDatabase.perform(test.configuration) { connection in
                try Migration.all.filter { try Migrator.apply($0, connection) }.map(\.version)
            }
            #expect(again == [])
            #expect(try await test.store.count(in: test.chat) == 3)
            #expect(try await test.verify().problems == [])
        }
    }

    /// A running migration blocks its own database, and no other on the server.
    @Test func anothersLockIsWaitedForInOneDatabase() async throws {
        let configuration = try await TestCluster.configuration()
        let holder = try await MySQLConnection.connect(configuration.mysql)
        let name = "CONCAT('luciq_migrate_', MD5(DATABASE()))"
        #expect(try await holder.perform { try $0.first("SELECT GET_LOCK(\(name), 0)") { $0.integer(0) } } == 1)
        let other = MySQLKeeper(try await TestCluster.configuration(), logger: TestCluster.logger)
        #expect(try await other.migrate() == Self.versions)
        async let applied = MySQLKeeper(configuration, logger: TestCluster.logger).migrate()
        try await eventually("it waits") {
            let waiting = """
                SELECT COUNT(*) FROM information_schema.processlist
                WHERE db = DATABASE() AND info LIKE 'SELECT GET_LOCK%'
                """
            return try await holder.perform { try $0.first(waiting) { $0.integer(0) } } == 1
        }
        #expect(try await TestDatabase.tables(configuration) == [])
        await holder.close()
        #expect(try await applied == Self.versions)
    }

    /// Scanning a large Redis takes minutes; the database server drops an idle connection meanwhile.
    @Test func theLockOutlivesASlowRedis() async throws {
        let configuration = try await TestCluster.configuration()
        try await RailsDatabase.make(configuration)
        let connection = try await MySQLConnection.connect(configuration.mysql)
        try await connection.perform { try $0.run("SET SESSION wait_timeout = 1") }
        let isFree = "SELECT GET_LOCK(CONCAT('luciq_migrate_', MD5(DATABASE())), 0)"
        let migrator = Migrator(location: "here", heartbeat: .milliseconds(200)) {
            // Longer than the server waits.
            try await Task.sleep(for: .seconds(3))
            #expect(try await TestDatabase.integers(configuration, isFree) == [0])
        }
        #expect(try await migrator.migrate(connection) == Self.versions.filter { !RailsDatabase.versions.contains($0) })
        await connection.close()
        #expect(try await TestDatabase.integers(configuration, isFree) == [1])
    }

    struct Interruption: Sendable, CustomTestStringConvertible {
        let version: String
        /// How many of the step's statements were carried out.
        let done: Int

        var testDescription: String { "\(version) after \(done)" }
    }

    static let interruptions = Migration.all.flatMap { migration in
        (1...migration.statements(collation: "x").count).map { Interruption(version: migration.version, done: $0) }
    }

    /// The process died after some statements of a step, before its version was recorded.
    @Test(arguments: interruptions)
    func anInterruptedStepIsTakenUpAgain(_ interruption: Interruption) async throws {
        let step = try #require(Migration.all.firstIndex { $0.version == interruption.version })
        let configuration = try await TestCluster.configuration()
        try await TestDatabase.perform(configuration) { connection in
            let collation = connection.isMariaDB ? "utf8mb4_uca1400_nopad_ai_ci" : "utf8mb4_0900_ai_ci"
            try connection.run("CREATE TABLE schema_migrations (version VARCHAR(255) NOT NULL PRIMARY KEY)")
            for (index, migration) in Migration.all.prefix(step + 1).enumerated() {
                let statements = migration.statements(collation: collation)
                let done = index < step ? statements[...] : statements.prefix(interruption.done)
                for statement in done { try connection.run(statement) }
                if index == 2 { try TestDatabase.fill(connection) }
                if index < step {
                    try connection.execute(
                        "INSERT INTO schema_migrations (version) VALUES (?)", [.text(migration.version)])
                }
            }
        }
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        #expect(try await keeper.migrate() == Array(Self.versions[step...]))
        #expect(try await keeper.migrate() == [])
        #expect(try await TestDatabase.tables(configuration) == Self.tables)
        // The steps before made no table for these rows.
        if step >= 2 {
            let status = try await keeper.status()
            #expect(status.applications == 2 && status.chats == 2 && status.messages == 5)
            #expect(try await TestDatabase.integers(configuration, "SELECT counted_number FROM chats") == [3, 0])
        }
    }

    @Test func aDatabaseThatIsMissingIsMade() async throws {
        var configuration = try await TestCluster.configuration()
        configuration.mysql.database += "_a$b-c"
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        let problem = await #expect(throws: StoreProblem.self) { try await keeper.migrate() }
        #expect(problem?.description.contains("luciq db create") == true)
        try await keeper.create()
        #expect(try await keeper.migrate() == Self.versions)
        // Running it again is allowed, and changes nothing.
        try await keeper.create()
        #expect(try await keeper.migrate() == [])
        try await TestDatabase.perform(configuration) { [name = configuration.mysql.database] connection in
            try connection.run("DROP DATABASE `\(name)`")
        }
    }

    @Test(arguments: ["", "a b", "a`b", "a;b", "chät", "a.b", "a\nb", String(repeating: "a", count: 65)])
    func aNameThatIsNoneIsRefused(_ name: String) async throws {
        var configuration = try await TestCluster.configuration()
        configuration.mysql.database = name
        let problem = await #expect(throws: StoreProblem.self) {
            try await MySQLKeeper(configuration, logger: TestCluster.logger).create()
        }
        #expect(problem?.isConfiguration == true)
    }

    @Test func aWrongPasswordIsNotRepeated() async throws {
        var configuration = try await TestCluster.configuration()
        configuration.mysql.password = "hunter2"
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        let problem = await #expect(throws: StoreProblem.self) { try await keeper.migrate() }
        #expect(problem?.isConfiguration == true)
        #expect(problem?.description.contains("hunter2") == false)
    }

    @Test func aResetLeavesNothing() async throws {
        try await TestCluster.run { test in
            try await test.send(3, key: "k")
            let place = ChatPlace(id: test.chat, number: Chat.Number(1), tenant: test.tenant)
            let edit = MessageChange(
                chat: place, number: Message.Number(1), action: .edit(MessagePatch(body: "edited")))
            _ = try await test.store.revise([edit], at: TestCluster.time, within: .seconds(60))[0].get()
            _ = try await test.redis("SET", "chat:77:message_number", "9")
            _ = try await test.redis("SET", "unrelated", "9")
            try await test.keeper.reset()
            for table in OwnedTable.cluster {
                #expect(try await test.sql("SELECT COUNT(*) FROM \(table.name)") == [[0]], "\(table.name)")
            }
            let status = try await test.keeper.status()
            #expect(status.pending == [] && status.applications == 0 && status.chats == 0 && status.messages == 0)
            #expect(try await test.sql("SELECT COUNT(*) FROM idempotency_keys") == [[0]])
            #expect(try await test.redis("KEYS", "*") == .array([.text(Array("unrelated".utf8))]))
            #expect(try await test.verify().isClean)
        }
    }

    @Test func aSchemaThatIsBehindIsNotServed() async throws {
        let configuration = try await TestCluster.configuration()
        for _ in 0..<2 {
            let problem = await #expect(throws: StoreProblem.self) {
                _ = try await MySQLStore(configuration, logger: TestCluster.logger)
            }
            #expect(problem?.description.contains("luciq db migrate") == true)
            // The second time everything is there but the last step.
            _ = try await MySQLKeeper(configuration, logger: TestCluster.logger).migrate()
            try await TestDatabase.run(configuration, "DELETE FROM schema_migrations ORDER BY version DESC LIMIT 1")
        }
        _ = try await MySQLKeeper(configuration, logger: TestCluster.logger).migrate()
        _ = try await MySQLStore(configuration, logger: TestCluster.logger)
    }

    @Test func aNewerSchemaIsLeftAlone() async throws {
        let configuration = try await TestCluster.configuration()
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        _ = try await keeper.migrate()
        try await TestDatabase.run(configuration, "INSERT INTO schema_migrations VALUES ('20991231235959')")
        let refused = await #expect(throws: StoreProblem.self) {
            _ = try await MySQLStore(configuration, logger: TestCluster.logger)
        }
        #expect(refused?.description.contains("20991231235959") == true)
        await #expect(throws: StoreProblem.self) { try await keeper.migrate() }
        await #expect(throws: StoreProblem.self) { try await keeper.reset() }
        #expect(try await TestDatabase.tables(configuration) == Self.tables)
    }

    @Test func othersTablesAreLeftAlone() async throws {
        let configuration = try await TestCluster.configuration()
        try await TestDatabase.run(configuration, "CREATE TABLE messages (id INT PRIMARY KEY, note TEXT)")
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        let problem = await #expect(throws: StoreProblem.self) { try await keeper.migrate() }
        #expect(problem?.description.contains("neither ours nor the Rails application's") == true)
        await #expect(throws: StoreProblem.self) { try await keeper.reset() }
        await #expect(throws: StoreProblem.self) {
            _ = try await MySQLStore(configuration, logger: TestCluster.logger)
        }
        #expect(try await TestDatabase.tables(configuration) == ["messages"])
    }
}
