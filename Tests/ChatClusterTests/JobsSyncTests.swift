import ChatCore
import ChatJobs
import MySQLClient
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// The columns that Rails reads follow the rows, whatever becomes of the marks in Redis.
@Suite(.timeLimit(.minutes(4))) struct JobsSyncTests {
    private static let right: [Int64] = [0, 0]

    @Test func whatIsMarkedIsWritten() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(600)
            try await test.send(toEach: chats)
            try await test.send(3)
            try await test.settleMarks()
            #expect(try await test.wrongColumns() == [601, 1])
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await test.column("counted_number") == 3)
            for marks in [RedisKey.dirtyChats, RedisKey.dirtyApplications] {
                #expect(try await test.redis("EXISTS", marks, RedisKey.taken(marks)).integer == 0)
            }
            try await test.send(toEach: chats.prefix(3))
            try await test.send(400)
            try await test.settleMarks()
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
            try await test.settleMarks()
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
            try await test.sql("UPDATE applications SET chats_count = 1000")
            _ = try await test.makeChats(1)
            try await test.settleMarks()
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    /// No stripes, no keys: that is a reason to count, and not a 0.
    @Test func whatIsMissingIsCounted() async throws {
        try await TestCluster.run { test in
            try await test.send(5)
            try await test.settleMarks()
            try await test.sync()
            try await test.sql("DELETE FROM application_counts")
            _ = try await test.redis("SADD", RedisKey.dirtyApplications, "\(test.tenant.rawValue)", "999", "no id", "")
            _ = try await test.redis("SADD", RedisKey.dirtyChats, "\(test.chat.rawValue)", "999", "no id", "")
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await test.store.messageCount(of: test.tenant) == 5)
            #expect(try await test.redis("EXISTS", RedisKey.taken(RedisKey.dirtyChats)).integer == 0)
        }
    }

    @Test func holesAndVoidsAreNoMessages() async throws {
        try await TestCluster.run { test in
            try await test.send(3)
            try await test.insert(number: 6)
            #expect(try await test.store.settle(Message.Number(5), in: test.chat) == nil)
            try await test.settleMarks()
            try await test.sync()
            #expect(try await test.column("messages_count") == 4)
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    // MARK: Marks that are lost

    @Test(arguments: [false, true])
    func redisIsWiped(_ wasReconciled: Bool) async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(300)
            try await test.send(toEach: chats)
            if wasReconciled { try await test.reconcile() }
            try await test.sync()
            try await test.sync()
            try await test.send(toEach: chats.prefix(100))
            try await test.settleMarks()
            _ = try await test.redis("FLUSHDB")
            // Those after it are marked, and make the set look whole.
            try await test.send(toEach: chats.prefix(7))
            _ = try await test.makeChats(1)
            try await test.settleMarks()
            for run in 0..<2 where try await test.wrongColumns() != Self.right || run == 0 { try await test.sync() }
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    @Test func redisIsWipedDuringARun() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(600)
            try await test.sync()
            for call in 1..<28 {
                try await test.send(toEach: chats)
                try await test.settleMarks()
                // Half of them look for lost marks when it happens again.
                if call.isMultiple(of: 2) { _ = try await test.redis("FLUSHDB") }
                let context = test.context { if $0 == (call + 1) / 2 { _ = try await test.redis("FLUSHDB") } }
                try await test.sync(context)
                try await test.sync()
                #expect(try await test.wrongColumns() == Self.right, "wiped at step \((call + 1) / 2)")
            }
        }
    }

    /// A snapshot has an epoch too, but an old one.
    @Test func redisIsRestored() async throws {
        let redis = try await RedisServer.start()
        let configuration = try await TestCluster.configuration(redis: redis.url())
        try await TestCluster.run(configuration) { test in
            let chats = try await test.makeChats(300)
            try await test.send(toEach: chats.prefix(50))
            try await test.settleMarks()
            try await test.sync()
            try await test.send(toEach: chats.prefix(60))
            try await test.settleMarks()
            _ = try await redis.cli("SAVE")
            try await test.sync()
            try await test.send(toEach: chats.suffix(60))
            try await test.settleMarks()
            redis.kill()
            try await redis.restart(empty: false)
            try await test.store.redis.waitUntilConnected(timeout: .seconds(10))
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    /// As above, but nobody's connection was lost: the epoch alone tells.
    @Test func anOldEpochIsNoEpoch() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(300)
            try await test.send(toEach: chats.prefix(50))
            try await test.settleMarks()
            try await test.sync()
            var old: [String] = []
            for key in RedisKey.epochs { old.append(try #require(try await test.redis("GET", key).string)) }
            try await test.sync()
            try await test.send(toEach: chats)
            try await test.settleMarks()
            _ = try await test.redis("FLUSHDB")
            for (key, epoch) in zip(RedisKey.epochs, old) { _ = try await test.redis("SET", key, epoch) }
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    /// What is stored while Redis is away cannot be marked, and Redis has lost nothing when it comes back.
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

    /// A transaction that takes its time holds up its own chat, and no other.
    @Test func aLockedChatIsLeft() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(3)
            try await test.sync()
            try await test.send(toEach: chats)
            try await test.settleMarks()
            let other = try await MySQLConnection.connect(test.configuration.mysql)
            try await other.perform { connection in
                try connection.run("START TRANSACTION")
                try connection.run("SELECT id FROM chats WHERE id = \(chats[1].rawValue) FOR UPDATE")
            }
            try await test.sync()
            #expect(try await test.wrongColumns() == [1, 0])
            #expect(
                try await test.redis("SMEMBERS", RedisKey.dirtyChats).array?.compactMap(\.integer) == [
                    chats[1].rawValue
                ])
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
            for step in 1..<18 {
                try await test.send(toEach: chats)
                try await test.settleMarks()
                let context = test.context { if $0 >= step { throw Killed() } }
                try? await SyncChatCounts(context: context).perform(IgnoredArguments())
                let other = test.context { if $0 >= step % 6 { throw Killed() } }
                try? await SyncApplicationCounts(context: other).perform(IgnoredArguments())
                // Some change again between the two.
                try await test.send(toEach: chats.prefix(10))
                try await test.settleMarks()
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
            try await test.settleMarks()
            let gate = JobsGate()
            let task = Task {
                try await SyncChatCounts(context: test.context { if $0 == 5 { await gate.pass() } })
                    .perform(IgnoredArguments())
            }
            try await eventually("it is half-way") { await gate.wasReached }
            task.cancel()
            await gate.open()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try await test.redis("SCARD", RedisKey.taken(RedisKey.dirtyChats)).integer ?? 0 > 0)
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
            try await test.settleMarks()
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await test.verify().isClean)
        }
    }

    /// One that stands still between counting and writing must not put its count over a newer one.
    @Test func aSlowRunWritesNothingOld() async throws {
        try await TestCluster.run { test in
            try await test.sync()
            try await test.send(10)
            try await test.settleMarks()
            let gate = JobsGate()
            // Taken, chunk begun, counted.
            let slow = Task {
                try await SyncChatCounts(context: test.context { if $0 == 3 { await gate.pass() } })
                    .perform(IgnoredArguments())
            }
            try await eventually("the slow one has counted") { await gate.wasReached }
            try await test.send(1)
            try await test.settleMarks()
            try await test.sync()
            #expect(try await test.column("messages_count") == 11)
            await gate.open()
            try await slow.value
            #expect(try await test.column("messages_count") == 11)
        }
    }

    /// One that stands still between writing and removing its marks must not remove those that were set since.
    @Test func aSlowRunRemovesNoNewMark() async throws {
        try await TestCluster.run { test in
            try await test.sync()
            try await test.send(10)
            try await test.settleMarks()
            let gate = JobsGate()
            let slow = Task {
                try await SyncChatCounts(context: test.context { if $0 == 4 { await gate.pass() } })
                    .perform(IgnoredArguments())
            }
            try await eventually("the slow one has written") { await gate.wasReached }
            #expect(try await test.column("messages_count") == 10)
            // The other works the same marks off, takes the new ones, and dies.
            let other = test.context { call in
                if call == 4 {
                    try await test.send(1)
                    try await test.settleMarks()
                }
                if call == 7 { throw Killed() }
            }
            await #expect(throws: Killed.self) { try await SyncChatCounts(context: other).perform(IgnoredArguments()) }
            #expect(try await test.redis("SCARD", RedisKey.taken(RedisKey.dirtyChats)).integer == 1)
            #expect(try await test.column("messages_count") == 10)
            await gate.open()
            try await slow.value
            try await test.sync()
            #expect(try await test.column("messages_count") == 11)
        }
    }
}
