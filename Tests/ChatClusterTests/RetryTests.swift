import ChatCore
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// Whatever the database does to a batch in progress, the batch is stored once or not at all.
@Suite(.timeLimit(.minutes(3))) struct RetryTests {
    /// A server of its own, which may be killed.
    private func run(_ body: (TestCluster, MariaDBServer) async throws -> Void) async throws {
        let server = try await MariaDBServer.start()
        try await TestCluster.run(TestCluster.configuration(mysql: server.url())) { try await body($0, server) }
    }

    private func new(_ test: TestCluster, _ body: String, key: String?) throws -> NewMessage {
        NewMessage(
            tenant: test.tenant, chat: test.chat, body: body,
            key: try key.map { try IdempotencyKey($0, content: body.utf8) })
    }

    @Test func whoIsCancelledDoesNotTryAgain() async {
        let attempt = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            var retry = Retry(patience: .seconds(60))
            return await retry.mayGoOn(after: MySQLError(.deadlock, "", number: 1213))
        }
        #expect(await attempt.value == false)
    }

    /// Before the commit nothing is stored; after it only a conflict or a read-only server proves that nothing was.
    @Test func whatLeavesADoubt() {
        let kinds: [(MySQLError.Kind, Bool)] = [
            (.connectionLost, true), (.interrupted, true), (.shuttingDown, true), (.notReady, true),
            (.commitFailed, true), (.diskFull, true), (.packetTooLarge, true), (.other, true), (.deadlock, false),
            (.readOnly, false),
        ]
        for (kind, isDoubtful) in kinds {
            let error = MySQLError(kind, "")
            #expect(!error.leavesInDoubt, "\(kind)")
            #expect(error.ofCommit.leavesInDoubt == isDoubtful, "\(kind)")
        }
    }

    /// The bodies that are stored, and how many rows have each.
    private func stored(_ server: MariaDBServer) async throws -> [String: Int] {
        let rows = try await server.sql(
            "SELECT body, COUNT(*) FROM messages WHERE body IS NOT NULL GROUP BY body")
        var counts: [String: Int] = [:]
        for row in rows.split(separator: "\n") {
            let parts = row.split(separator: "\t")
            counts[String(parts[0])] = Int(parts[1])
        }
        return counts
    }

    /// The outcomes that a writer got for its messages, by their bodies.
    private struct Told: Sendable {
        var numbers: [String: Int64] = [:]
        var failed: [String] = []
    }

    /// Appends batches of two, one after the other, and returns the outcome of each body.
    private func append(_ test: TestCluster, writer: Int, batches: Int, isKeyed: Bool) async throws -> Told {
        var told = Told()
        for round in 0..<batches {
            try Task.checkCancellation()
            let bodies = ["\(writer) \(round) a", "\(writer) \(round) b"]
            let batch = try bodies.map { try new(test, $0, key: isKeyed ? $0 : nil) }
            do {
                let results = try await test.store.append(batch, at: TestCluster.time)
                for (body, result) in zip(bodies, results) { told.numbers[body] = try result.get().number.rawValue }
            } catch let error as ChatError {
                switch error {
                case .unavailable, .outcomeUnknown: told.failed += bodies
                default: throw error
                }
            }
        }
        return told
    }

    /// Checks that the outcomes match the stored messages, that nothing is stored twice, and that every number is
    /// accounted for.
    private func check(_ told: [Told], _ test: TestCluster, _ server: MariaDBServer) async throws {
        let counts = try await stored(server)
        #expect(counts.values.allSatisfy { $0 == 1 }, "\(counts.filter { $0.value > 1 })")
        let numbers = told.flatMap(\.numbers.values)
        #expect(Set(numbers).count == numbers.count)
        for (body, number) in told.flatMap(\.numbers) {
            #expect(try await test.store.message(Message.Number(number), in: test.chat)?.body == body)
        }
        #expect(try await test.verify(mends: true).problems == [])
        #expect(try await test.verify().isClean)
        #expect(try await test.store.count(in: test.chat) == Int64(counts.count))
        #expect(try await test.store.messageCount(of: test.tenant) == Int64(counts.count))
    }

    /// Lets four writers append at the same time.
    ///
    /// - Parameter meanwhile: what happens to them; cancelled when they are done, and waited for. It ends them when it
    ///   throws.
    private func writers(
        _ test: TestCluster, batches: Int, isKeyed: Bool, meanwhile: @escaping @Sendable () async throws -> Void
    ) async throws -> [Told] {
        try await withThrowingTaskGroup(of: Told?.self) { tasks in
            for writer in 0..<4 {
                tasks.addTask { try await append(test, writer: writer, batches: batches, isKeyed: isKeyed) }
            }
            tasks.addTask {
                try await meanwhile()
                return nil
            }
            var told: [Told] = []
            while let done = try await tasks.next() {
                if let done { told.append(done) }
                if told.count == 4 { tasks.cancelAll() }
            }
            return told
        }
    }

    @Test func aServerThatIsKilledAndComesBack() async throws {
        try await run { test, server in
            let told = try await writers(test, batches: 150, isKeyed: true) {
                for total in [60, 400] {
                    try await eventually("some are stored", within: 60) {
                        Int(try await server.sql("SELECT COUNT(*) FROM messages")) ?? 0 > total
                    }
                    server.kill()
                    // A task of its own is not cancelled when the writers are done.
                    try await Task { try await server.restart() }.value
                }
            }
            let failed = told.flatMap(\.failed)
            // The same again with the same keys: what was stored is answered with its number, and the rest is stored.
            for body in failed {
                let again = try await test.store.append([new(test, body, key: body)], at: TestCluster.time)[0].get()
                let third = try await test.store.append([new(test, body, key: body)], at: TestCluster.time)[0].get()
                #expect(third.isReplay && third.number == again.number)
            }
            try await check(told, test, server)
            #expect(try await stored(server).count == 4 * 150 * 2)
        }
    }

    @Test func aServerThatStaysAwayIsWaitedForUntilTheDeadline() async throws {
        let server = try await MariaDBServer.start()
        var configuration = try await TestCluster.configuration(mysql: server.url())
        configuration.patience = .seconds(1)
        try await TestCluster.run(configuration) { test in
            try await test.send(3, key: "k")
            server.kill()
            let start = ContinuousClock.now
            await #expect(throws: ChatError.self) { try await test.send(1) }
            #expect(ContinuousClock.now - start < .seconds(4))
            let error = await #expect(throws: ChatError.self) { try await test.send(3, key: "k") }
            #expect(error?.mayRetry == true)
            try await server.restart()
            try await eventually("it is served again") { (try? await test.send(1)) != nil }
            #expect(try await test.send(3, key: "k") == [1, 2, 3])
            #expect(try await test.verify(mends: true).problems == [])
        }
    }

    /// Requests refused while the database is down leave no hole, in however many batches they were.
    @Test func refusedCreatesLeaveNoHoles() async throws {
        let server = try await MariaDBServer.start()
        var configuration = try await TestCluster.configuration(mysql: server.url())
        configuration.patience = .milliseconds(100)
        try await TestCluster.run(configuration) { test in
            let new = NewChat(tenant: test.tenant)
            try await eventually("some are stored, however slow the machine") { (try? await test.send(3)) != nil }
            let before = try await test.storedNumbers()
            server.kill()
            for _ in 0..<20 {
                await #expect(throws: ChatError.self) { try await test.send(3) }
                await #expect(throws: ChatError.self) { try await test.store.append([new], at: TestCluster.time) }
            }
            try await server.restart()
            try await eventually("it is served again") { (try? await test.send(1)) != nil }
            try await eventually("chats too") {
                (try? await test.store.append([new], at: TestCluster.time)[0].get()) != nil
            }
            // Each pool has connections that died.
            try await eventually("all is served again") { (try? await test.storedNumbers()) != nil }
            #expect(try await test.storedNumbers() == before + [(before.last ?? 0) + 1])
            #expect(try await server.sql("SELECT number FROM chats ORDER BY number") == "1\n2")
            // Those that are left are used as well, and then Redis' next ones.
            #expect(try await test.send(5).first == Int64(before.count + 2))
            #expect(try await test.verify().isClean)
        }
    }

    /// The server shuts down in order: a statement may get that error even after its commit.
    @Test func aServerThatIsRestartedInOrder() async throws {
        try await run { test, server in
            let told = try await writers(test, batches: 100, isKeyed: true) {
                try await Task { try await server.restart() }.value
            }
            for body in told.flatMap(\.failed) {
                _ = try await test.store.append([new(test, body, key: body)], at: TestCluster.time)[0].get()
            }
            try await check(told, test, server)
            #expect(try await stored(server).count == 4 * 100 * 2)
        }
    }

    /// Each kill hits the store's connections wherever they are: before, in or after their commit.
    @Test(arguments: ["CONNECTION", "QUERY"], [true, false])
    func connectionsKilledDuringAppends(_ what: String, _ isKeyed: Bool) async throws {
        try await run { test, server in
            let told = try await writers(test, batches: 250, isKeyed: isKeyed) {
                var killed = 0
                while !Task.isCancelled {
                    let ids = try await server.sql(
                        """
                        SELECT id FROM information_schema.processlist
                        WHERE id <> CONNECTION_ID() AND db = 'luciq' AND (command <> 'Sleep' OR time_ms < 5)
                        """)
                    for id in ids.split(separator: "\n").prefix(2) {
                        // It may have gone meanwhile.
                        if (try? await server.sql("KILL \(what) \(id)")) != nil { killed += 1 }
                    }
                }
                #expect(killed > 10)
            }
            #expect(told.flatMap(\.failed) == [])
            try await check(told, test, server)
            #expect(try await stored(server).count == 4 * 250 * 2)
        }
    }

    /// The server has committed, and waits for a replica that never comes before it says so.
    private func withUnheardCommits(
        patience: Duration = .seconds(5), _ body: (TestCluster, MariaDBServer) async throws -> Void
    ) async throws {
        let server = try await MariaDBServer.start(["--log-bin"])
        var configuration = try await TestCluster.configuration(mysql: server.url())
        configuration.patience = patience
        try await TestCluster.run(configuration) { test in
            try await test.send(1)
            _ = try await server.sql(
                """
                SET GLOBAL rpl_semi_sync_master_timeout = 600000, rpl_semi_sync_master_wait_point = 'AFTER_COMMIT',
                    rpl_semi_sync_master_enabled = ON
                """)
            try await body(test, server)
        }
    }

    private func unheard(_ server: MariaDBServer) async throws -> Substring {
        var id: Substring = ""
        try await eventually("it has committed") {
            let ids = try await server.sql(
                "SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for semi-sync ACK%'")
            id = ids.prefix { $0.isNumber }
            return !id.isEmpty
        }
        return id
    }

    /// Runs `body`, and until it returns kills every connection that waits for the answer to a commit.
    private func ending<Result: Sendable>(
        _ what: String, _ server: MariaDBServer, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let killer = Task {
            while !Task.isCancelled {
                let id = try await unheard(server)
                // Another look may have been quicker, and the list is behind.
                _ = try? await server.sql("KILL \(what) \(id)")
            }
        }
        defer { killer.cancel() }
        return try await body()
    }

    @Test(arguments: ["CONNECTION", "QUERY"], [true, false])
    func aCommitThatNobodyHeardOf(_ what: String, _ isKeyed: Bool) async throws {
        try await withUnheardCommits { test, server in
            let batch = try ["a", "b"].map { try new(test, $0, key: isKeyed ? $0 : nil) }
            let results = try await ending(what, server) { try await test.store.append(batch, at: TestCluster.time) }
            #expect(try results.map { try $0.get().number.rawValue } == [2, 3])

            let chats = try await ending(what, server) {
                try await test.store.append([NewChat(tenant: test.tenant)], at: TestCluster.time)
            }
            #expect(try chats.map { try $0.get().number.rawValue } == [2])

            let token = Tenant.Token.random()
            let tenants = try await ending(what, server) {
                try await test.store.apply([.create(name: "b", token: token)], at: TestCluster.time)
            }
            _ = try tenants[0].get()

            _ = try await server.sql("SET GLOBAL rpl_semi_sync_master_enabled = OFF")
            #expect(try await test.store.id(of: token) != nil)
            #expect(try await test.storedNumbers() == [1, 2, 3])
            #expect(try await test.verify().isClean)
        }
    }

    /// No commit was sent yet, so the outcome is certain.
    @Test func anInsertThatNobodyHeardOf() async throws {
        let server = try await MariaDBServer.start()
        var configuration = try await TestCluster.configuration(mysql: server.url())
        configuration.patience = .seconds(2)
        try await TestCluster.run(configuration) { test in
            try await test.send(1)
            let console = try await MySQLConnection.connect(configuration.mysql)
            try await console.run("LOCK TABLES messages WRITE")
            let results = Task { try await test.send(1) }
            try await eventually("the insert waits") {
                try await server.sql(
                    """
                    SELECT COUNT(*) FROM information_schema.processlist
                    WHERE state = 'Waiting for table metadata lock' AND info LIKE 'INSERT INTO messages%'
                    """) == "1"
            }
            server.kill()
            let error = await #expect(throws: ChatError.self) { try await results.value }
            #expect(error?.code == "unavailable")
        }
    }

    /// The server stays silent until the deadline: then the answer must not claim that nothing was stored.
    @Test func aCommitThatNobodyCouldLookFor() async throws {
        try await withUnheardCommits(patience: .seconds(2)) { test, server in
            let batch = [try new(test, "a", key: "k")]
            let results = Task { try await test.store.append(batch, at: TestCluster.time) }
            _ = try await unheard(server)
            server.kill()
            await #expect(throws: ChatError.outcomeUnknown) { try await results.value }
            try await server.restart()
            try await eventually("it is served again") { (try? await test.store.probe()) != nil }
            let again = try await test.store.append(batch, at: TestCluster.time)[0].get()
            #expect(again.number.rawValue == 2 && again.isReplay)
            #expect(try await test.verify().isClean)
        }
    }
}
