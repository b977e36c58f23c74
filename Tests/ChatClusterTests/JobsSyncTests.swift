import ChatCore
import ChatJobs
import MySQLClient
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// The columns that Rails reads follow the rows, whatever happens to Redis and to the runs.
@Suite(.timeLimit(.minutes(4))) struct JobsSyncTests {
    private static let right: [Int64] = [0, 0]

    @Test func whatChangedIsWritten() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(600)
            try await test.send(toEach: chats)
            try await test.send(3)
            #expect(try await test.wrongColumns() == [601, 1])
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await test.column("counted_number") == 3)
            try await test.send(toEach: chats.prefix(3))
            try await test.send(400)
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await test.column("counted_number") == 403)
            #expect(try await test.store.count(in: test.chat) == 403)
        }
    }

    @Test func whatRailsLeftIsOverwritten() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(3)
            try await test.send(toEach: chats)
            for (chat, value) in zip(chats, ["999", "NULL", "-5"]) {
                try await test.sql("UPDATE chats SET messages_count = \(value) WHERE id = \(chat.rawValue)")
            }
            try await test.sql("UPDATE applications SET chats_count = NULL, messages_count = 77")
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
            try await test.sql("UPDATE applications SET chats_count = 1000")
            _ = try await test.makeChats(1)
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    /// Missing stripes and keys mean that the job must count, not that the count is 0.
    @Test func whatIsMissingIsCounted() async throws {
        try await TestCluster.run { test in
            try await test.send(5)
            try await test.sync()
            try await test.sql("DELETE FROM application_counts")
            try await test.store.writes.withConnection { connection in
                for (scope, owner) in [(IdempotencyTable.Scope.chat, test.chat.rawValue), (.application, 999)] {
                    let places = [owner, 999].map { OwnedNumber(owner: $0, number: 1) }
                    try LogChanges.record(Array(Set(places)), of: scope, batch: 1, connection)
                }
            }
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await test.store.messageCount(of: test.tenant) == 5)
        }
    }

    @Test func holesAndVoidsAreNoMessages() async throws {
        try await TestCluster.run { test in
            try await test.send(3)
            try await test.insert(number: 6)
            #expect(try await test.store.settle(Message.Number(5), in: test.chat) == nil)
            try await test.sync()
            #expect(try await test.column("messages_count") == 4)
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    // MARK: Changes

    /// A busy chat records one change each half minute, and the run returns to it.
    @Test func aChangeCoversWhatComesSoonAfter() async throws {
        try await TestCluster.run { test in
            let changes = "SELECT COUNT(*) FROM log_changes WHERE scope = 1"
            try await test.send(2)
            for round in 1...3 {
                try await test.sync()
                try await test.send(2)
                #expect(try await test.wrongColumns() == [1, 1], "round \(round)")
            }
            #expect(try await test.sql(changes)[0][0] <= 2)
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    /// A message of another process records its own change; a process that stores nothing records none.
    @Test func aChangeCoversItsOwnProcessAlone() async throws {
        try await TestCluster.run { test in
            let other = try await MySQLStore(test.configuration, logger: TestCluster.logger)
            try await other.run { other in
                let changes = "SELECT COUNT(*) FROM log_changes WHERE scope = 1"
                try await test.send(1, key: "k")
                let before = try await test.sql(changes)[0][0]
                try await test.send(1, key: "k", by: other)
                #expect(try await test.sql(changes)[0][0] == before)
                try await test.send(1, by: other)
                #expect(try await test.sql(changes)[0][0] == before + 1)
            }
        }
    }

    /// A transaction may commit after one that began later, and after a run.
    @Test func whatCommitsLateIsNotPassedOver() async throws {
        try await TestCluster.run { test in
            try await test.send(3)
            try await test.sync()
            let late = try await MySQLConnection.connect(test.configuration.mysql)
            let chat = try await test.makeChats(1)[0].rawValue
            try await late.perform { connection in
                try connection.run("START TRANSACTION")
                try connection.run(
                    """
                    INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                    VALUES (\(chat), 1, 'late', NOW(6), NOW(6))
                    """)
                try connection.run("INSERT INTO log_changes VALUES (UTC_TIMESTAMP(6), 1, \(chat), 1, 1)")
            }
            try await test.send(3)
            try await test.sync()
            #expect(try await test.column("messages_count") == 6)
            try await late.perform { try $0.run("COMMIT") }
            await late.close()
            try await test.sync()
            #expect(try await test.column("messages_count", of: Chat.ID(chat)) == 1)
        }
    }

    /// As after a failover to a server whose clock is behind.
    @Test func aPositionInTheFutureIsNoReasonToWait() async throws {
        try await TestCluster.run { test in
            try await test.send(3)
            try await test.sync()
            try await test.sql("UPDATE job_positions SET position = position * 2 WHERE name = 'changes'")
            try await test.send(3)
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    /// The changes alone make the job wait for a number that may still be stored, and close one that is lost.
    @Test func aHoleIsFollowedUntilItIsClosed() async throws {
        try await TestCluster.run { test in
            try await test.send(1)
            let chatKey = NumberedTable.chats.numberKey(test.tenant.rawValue)
            for key in [test.numberKey, chatKey] { _ = try await test.redis("INCRBY", key, "2") }
            #expect(try await test.send(1) == [4])
            _ = try await test.makeChats(1)
            for table in ["messages", "chats"] { try await test.sql("UPDATE \(table) SET created_at = NOW(6)") }
            let chats = "SELECT number FROM chats ORDER BY number"
            for _ in 0..<3 {
                try await test.sync()
                try await test.dropSeenChanges()
            }
            #expect(try await test.storedNumbers() == [1, 4])
            #expect(try await test.sql(chats) == [[1], [4]])
            for table in ["messages", "chats"] {
                try await test.sql("UPDATE \(table) SET created_at = NOW(6) - INTERVAL 61 SECOND")
            }
            try await test.sync()
            #expect(try await test.storedNumbers() == [1, 2, 3, 4])
            #expect(try await test.sql(chats) == [[1], [2], [3], [4]])
            #expect(try await test.wrongColumns() == Self.right)
            // And then no more.
            try await test.sync()
            try await test.dropSeenChanges()
            try await test.sync()
            #expect(try await test.sql("SELECT COUNT(*) FROM log_changes") == [[0]])
        }
    }

    /// Changes are kept for an hour.
    @Test func oldChangesAreDeleted() async throws {
        try await TestCluster.run { test in
            try await test.sync()
            try await test.sql(
                """
                INSERT INTO log_changes SELECT UTC_TIMESTAMP(6) - INTERVAL 2 HOUR + INTERVAL seq SECOND, 1, 5, 1, 1
                FROM seq_1_to_25000
                """)
            try await test.sync()
            let kept = try await test.sql("SELECT COUNT(*) FROM log_changes WHERE scope_id = 5")[0][0]
            #expect((1...25_000 - 3600).contains(kept))
            #expect(
                try await test.sql(
                    "SELECT COUNT(*) FROM log_changes WHERE changed_at < UTC_TIMESTAMP(6) - INTERVAL 61 MINUTE") == [
                        [0]
                    ])
        }
    }

    // MARK: Redis

    @Test(arguments: [false, true])
    func redisIsWiped(_ wasReconciled: Bool) async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(300)
            try await test.send(toEach: chats)
            if wasReconciled { try await test.reconcile() }
            try await test.sync()
            try await test.sync()
            try await test.send(toEach: chats.prefix(100))
            _ = try await test.redis("FLUSHDB")
            try await test.send(toEach: chats.prefix(7))
            _ = try await test.makeChats(1)
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    @Test func redisIsWipedDuringARun() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(600)
            try await test.sync()
            for call in 1..<12 {
                try await test.send(toEach: chats)
                let context = test.context { if $0 == call { _ = try await test.redis("FLUSHDB") } }
                try await test.sync(context)
                try await test.sync()
                #expect(try await test.wrongColumns() == Self.right, "wiped at step \(call)")
            }
        }
    }

    @Test func redisIsRestored() async throws {
        let redis = try await RedisServer.start()
        let configuration = try await TestCluster.configuration(redis: redis.url())
        try await TestCluster.run(configuration) { test in
            let chats = try await test.makeChats(300)
            try await test.send(toEach: chats.prefix(50))
            try await test.sync()
            try await test.send(toEach: chats.prefix(60))
            _ = try await redis.cli("SAVE")
            try await test.sync()
            try await test.send(toEach: chats.suffix(60))
            redis.kill()
            try await redis.restart(empty: false)
            try await test.store.redis.waitUntilConnected(timeout: .seconds(10))
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    @Test func redisWasAway() async throws {
        let redis = try await RedisServer.start()
        let configuration = try await TestCluster.configuration(redis: redis.url())
        try await TestCluster.run(configuration) { test in
            let chats = try await test.makeChats(20)
            try await test.sync()
            _ = try await redis.cli("SAVE")
            redis.kill()
            try await test.send(toEach: chats)
            try await redis.restart(empty: false)
            try await test.store.redis.waitUntilConnected(timeout: .seconds(10))
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    // MARK: Runs that die, or meet

    /// A slow transaction delays its own chat, and no other.
    @Test func aLockedChatIsLeft() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(3)
            try await test.sync()
            try await test.send(toEach: chats)
            let other = try await MySQLConnection.connect(test.configuration.mysql)
            try await other.perform { connection in
                try connection.run("START TRANSACTION")
                try connection.run("SELECT id FROM chats WHERE id = \(chats[1].rawValue) FOR UPDATE")
            }
            try await test.sync()
            #expect(try await test.wrongColumns() == [1, 0])
            try await test.dropSeenChanges()
            try await other.perform { try $0.run("ROLLBACK") }
            await other.close()
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    /// At whatever step it dies, the next run finds what it left.
    @Test func aRunIsKilled() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(600)
            try await test.sync()
            for step in 1..<12 {
                try await test.dropSeenChanges()
                try await test.send(toEach: chats)
                let context = test.context { if $0 >= step { throw Killed() } }
                try? await test.sync(context)
                // Some change again between the two.
                try await test.send(toEach: chats.prefix(10))
                try await test.sync()
                #expect(try await test.wrongColumns() == Self.right, "killed at step \(step)")
            }
        }
    }

    @Test func aRunIsCancelled() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(600)
            try await test.sync()
            try await test.send(toEach: chats)
            let gate = JobsGate()
            let task = Task {
                try await test.sync(test.context { if $0 == 3 { await gate.pass() } })
            }
            try await eventually("it is half-way") { await gate.wasReached }
            task.cancel()
            await gate.open()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try await test.wrongColumns()[0] > 0)
            try await test.dropSeenChanges()
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    @Test func manyRunsAtOnce() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(300)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for _ in 0..<3 {
                    tasks.addTask { for _ in 0..<15 { try await test.sync() } }
                }
                tasks.addTask { for _ in 0..<4 { try await test.reconcile() } }
                tasks.addTask { for _ in 0..<15 { try await test.send(toEach: chats.shuffled().prefix(150)) } }
                try await tasks.waitForAll()
            }
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await test.verify().isClean)
        }
    }

    /// A run that freezes between counting and writing must not overwrite a newer count.
    @Test func aSlowRunWritesNothingOld() async throws {
        try await TestCluster.run { test in
            try await test.sync()
            try await test.send(10)
            let gate = JobsGate()
            // Chunk begun, counted.
            let slow = Task { try await test.sync(test.context { if $0 == 2 { await gate.pass() } }) }
            try await eventually("the slow one has counted") { await gate.wasReached }
            try await test.send(1)
            try await test.sync()
            #expect(try await test.column("messages_count") == 11)
            await gate.open()
            try await slow.value
            #expect(try await test.column("messages_count") == 11)
        }
    }

    /// A run that freezes between writing and moving the position must not move it past changes that came since.
    @Test func aSlowRunPassesNothingNew() async throws {
        try await TestCluster.run { test in
            try await test.sync()
            try await test.send(10)
            let gate = JobsGate()
            // Chunk begun, counted, written.
            let slow = Task { try await test.sync(test.context { if $0 == 3 { await gate.pass() } }) }
            try await eventually("the slow one has written") { await gate.wasReached }
            #expect(try await test.column("messages_count") == 10)
            try await test.send(1)
            // Another one looks at it, and dies.
            await #expect(throws: Killed.self) { try await test.sync(test.context { if $0 == 2 { throw Killed() } }) }
            #expect(try await test.column("messages_count") == 10)
            await gate.open()
            try await slow.value
            try await test.sync()
            #expect(try await test.column("messages_count") == 11)
        }
    }
}
