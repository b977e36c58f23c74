import ChatCore
import ChatJobs
import MySQLClient
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// Wrong data without a recorded change is corrected too.
@Suite(.timeLimit(.minutes(4))) struct JobsReconcileTests {
    private static let right: [Int64] = [0, 0]

    private func recount(_ context: JobContext) async throws {
        try await Recount(context: context).perform(NoArguments())
    }

    private func position(_ name: JobPosition.Name, _ test: TestCluster) async throws -> Int64 {
        try await JobPosition(name, test.context()).read()
    }

    /// A row as Rails' own code stores it: our counts leave it out, and no change is recorded.
    private func insert(_ number: Int64, at time: String = "NOW(6)", _ test: TestCluster) async throws {
        try await test.sql(
            """
            INSERT INTO messages (chat_id, number, body, created_at, updated_at)
            VALUES (\(test.chat.rawValue), \(number), 'theirs', \(time), NOW(6))
            """)
    }

    private func insertChat(_ number: Int64, at time: String = "NOW(6)", _ test: TestCluster) async throws {
        try await test.sql(
            """
            INSERT INTO chats (application_id, number, created_at, updated_at)
            VALUES (\(test.tenant.rawValue), \(number), \(time), NOW(6))
            """)
    }

    // MARK: Counts

    @Test func whatOthersStoreIsCounted() async throws {
        try await TestCluster.run { test in
            try await test.reconcile()
            try await test.send(2)
            for number in 3...5 { try await insert(Int64(number), test) }
            try await insertChat(2, test)
            _ = try await test.redis("FLUSHDB")
            try await test.reconcile()
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await test.store.messageCount(of: test.tenant) == 5)
            #expect(try await test.store.tenant(test.tenant)?.chatsCount == 2)
            #expect(try await test.verify().isClean)
        }
    }

    /// A number that becomes void never counts as a message, not even between two statements.
    @Test func aCountIsOfOneMoment() async throws {
        try await TestCluster.run { test in
            try await test.sql(
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                SELECT ?, seq, 'x', NOW(6), NOW(6) FROM seq_2_to_1000_step_2
                """, [.integer(test.chat.rawValue)])
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    for number in stride(from: 1, to: 999, by: 2) {
                        _ = try await test.store.settle(Message.Number(Int64(number)), in: test.chat)
                    }
                }
                tasks.addTask {
                    while !Task.isCancelled {
                        let found = try await ChatRecount(context: test.context()).run([test.chat.rawValue])
                        #expect(found.chats.first?.messages == 500)
                    }
                }
                try await tasks.next()
                tasks.cancelAll()
                // The last look may have been cancelled.
                try? await tasks.waitForAll()
            }
        }
    }

    /// Two that find the same difference add it once.
    @Test func correctionsAreMadeOnce() async throws {
        try await TestCluster.run { test in
            try await test.send(4)
            for round in 1...6 {
                try await insert(Int64(round + 4), test)
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for _ in 0..<6 {
                        tasks.addTask { _ = try await StripeRecount(context: test.context()).run(test.tenant.rawValue) }
                    }
                    try await tasks.waitForAll()
                }
                #expect(try await test.store.messageCount(of: test.tenant) == Int64(round + 4))
            }
        }
    }

    /// A walk skips a chat that another transaction has locked; a recorded change leads to it again.
    @Test func aLockedChatIsRecorded() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(2)
            try await test.send(toEach: chats)
            try await test.sync()
            try await test.sql("UPDATE chats SET messages_count = 7")
            try await test.sql("DELETE FROM log_changes")
            let other = try await MySQLConnection.connect(test.configuration.mysql)
            try await other.perform { connection in
                try connection.run("START TRANSACTION")
                try connection.run("SELECT id FROM chats WHERE id = \(chats[1].rawValue) FOR UPDATE")
            }
            try await test.reconcile()
            #expect(try await test.wrongColumns() == [1, 0])
            #expect(try await position(.firstChats, test) == JobPosition.end)
            try await other.perform { try $0.run("ROLLBACK") }
            await other.close()
            try await test.sync()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    // MARK: Holes

    @Test func aHoleIsClosedAfterTheGracePeriod() async throws {
        try await TestCluster.run { test in
            try await test.send(3)
            try await insert(6, test)
            try await insert(9, at: "NOW(6) - INTERVAL 50 SECOND", test)
            for _ in 0..<2 { try await test.reconcile() }
            #expect(try await test.storedNumbers() == [1, 2, 3, 6, 9])
            try await test.sql("UPDATE messages SET created_at = NOW(6) - INTERVAL 61 SECOND WHERE number = 6")
            try await test.reconcile()
            #expect(try await test.storedNumbers() == [1, 2, 3, 4, 5, 6, 9])
            #expect(try await test.wrongColumns() == Self.right)
            // The writer of number 4 was only slow.
            _ = try await test.redis("SET", test.numberKey, "3")
            #expect(try await test.send(1) == [10])
            try await test.sql("UPDATE messages SET created_at = NOW(6) - INTERVAL 61 SECOND")
            try await test.reconcile()
            #expect(try await test.storedNumbers() == Array(1...10))
            #expect(try await test.store.count(in: test.chat) == 6)
            #expect(try await test.column("counted_number") == 10)
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await test.verify().isClean)
        }
    }

    @Test func aHoleAmongChatsIsClosed() async throws {
        try await TestCluster.run { test in
            try await test.reconcile()
            try await insertChat(4, test)
            try await test.reconcile()
            let numbers = "SELECT number FROM chats ORDER BY number"
            #expect(try await test.sql(numbers) == [[1], [4]])
            try await test.sql("UPDATE chats SET created_at = NOW(6) - INTERVAL 61 SECOND")
            try await test.reconcile()
            #expect(try await test.sql(numbers) == [[1], [2], [3], [4]])
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await test.verify().isClean)
            #expect(
                try await test.store.append([NewChat(tenant: test.tenant)], at: TestCluster.time)[0].get().number
                    .rawValue == 5)
        }
    }

    /// A counter that ran away leaves more holes than one run should close.
    @Test func aGapOfAnySizeIsBounded() async throws {
        try await TestCluster.run { test in
            try await test.send(1)
            try await test.reconcile()
            try await insert(200_000, at: "NOW(6) - INTERVAL 100 SECOND", test)
            try await insert(2_000_000_000, at: "NOW(6) - INTERVAL 100 SECOND", test)
            try await test.reconcile()
            #expect(try await test.storedNumbers().count == 65_539)
            // The rest is closed run by run, except for the gap that would fill a disk.
            for _ in 0..<4 {
                try await test.reconcile()
            }
            #expect(try await test.storedNumbers().count == 200_001)
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    // MARK: Redis

    @Test func countersAreRaisedAndNeverLowered() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(2)
            let keys = ([test.chat] + chats).map { NumberedTable.messages.numberKey($0.rawValue) }
            let chatKey = NumberedTable.chats.numberKey(test.tenant.rawValue)
            for (counter, expected) in [("1", "4"), ("900", "900"), ("nonsense", "nonsense")] {
                for _ in 0..<4 { try await test.send(toEach: [test.chat] + chats) }
                _ = try await test.redis("SET", keys[0], counter)
                _ = try await test.redis("DEL", keys[1])
                _ = try await test.redis("SET", chatKey, "2")
                try await test.reconcile()
                let stored = try await test.storedNumbers().last!
                #expect(try await test.redis("GET", keys[0]).string == (expected == "4" ? "\(stored)" : expected))
                #expect(try await test.redis("EXISTS", keys[1]).integer == 0)
                #expect(try await test.redis("GET", chatKey).integer == 3)
            }
        }
    }

    @Test func copiesOfCountsAreReplaced() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(2)
            try await test.send(toEach: chats)
            try await test.send(5)
            try await test.settleCopies()
            let keys = ([test.chat] + chats).map { RedisKey.messagesCount(of: $0.rawValue) }
            _ = try await test.redis("SET", keys[0], "77")
            _ = try await test.redis("DEL", keys[1])
            try await test.reconcile()
            #expect(try await test.redis("GET", keys[0]).integer == 5)
            #expect(try await test.redis("EXISTS", keys[1]).integer == 0)
            #expect(try await test.redis("GET", keys[2]).integer == 1)
            // One that changes meanwhile may be right.
            let read = try await RedisCopies(redis: test.store.redis).values(of: [keys[0]])
            _ = try await test.redis("INCRBY", keys[0], "2")
            try await RedisCopies(redis: test.store.redis).replaceCounts([test.chat.rawValue: 6], read: read)
            #expect(try await test.redis("GET", keys[0]).integer == 7)
        }
    }

    // MARK: Walks

    /// A database as Rails left it, with whatever its columns say.
    @Test func anAdoptedDatabaseIsPutRight() async throws {
        let configuration = try await TestCluster.configuration()
        try await RailsDatabase.make(configuration)
        try await TestDatabase.run(
            configuration, "UPDATE chats SET messages_count = 999 WHERE id = 11",
            "UPDATE chats SET messages_count = NULL WHERE id = 12", "UPDATE chats SET messages_count = 7 WHERE id = 15",
            "UPDATE applications SET chats_count = NULL WHERE id = 1",
            "UPDATE applications SET chats_count = 55 WHERE id = 3")
        try await TestCluster.run(configuration) { test in
            try await test.reconcile()
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await test.verify().isClean, "the gaps that Rails left are closed too")
            #expect(try await position(.firstChats, test) == JobPosition.end)
            #expect(try await position(.firstApplications, test) == JobPosition.end)
            try await test.sql("UPDATE chats SET messages_count = 999 WHERE id = 15")
            try await recount(test.context())
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    /// However often the walk dies, it continues from where it was.
    @Test func aWalkIsResumed() async throws {
        try await TestCluster.run { test in
            try await test.sql(
                """
                INSERT INTO chats (application_id, number, messages_count, created_at, updated_at)
                SELECT ?, seq, seq, NOW(6), NOW(6) FROM seq_2_to_2000
                """, [.integer(test.tenant.rawValue)])
            var last: Int64 = 0
            var runs = 0
            while try await position(.firstApplications, test) != JobPosition.end, runs < 100 {
                runs += 1
                let context = test.context { if $0 == 5 { throw Killed() } }
                try? await test.reconcile(context)
                let now = try await position(.firstChats, test)
                #expect(now >= last)
                last = now
            }
            #expect((5..<40).contains(runs))
            try await test.reconcile()
            #expect(try await test.wrongColumns() == Self.right)
        }
    }

    @Test func theNightlyWalkFindsEverything() async throws {
        try await TestCluster.run { test in
            let chats = try await test.makeChats(700)
            try await test.send(toEach: chats)
            try await test.reconcile()
            for _ in 0..<2 {
                try await test.sql("UPDATE chats SET messages_count = id")
                try await test.sql("UPDATE applications SET chats_count = 9, messages_count = 9")
                try await test.sql("UPDATE application_counts SET messages = messages + 3")
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for _ in 0..<2 { tasks.addTask { try await recount(test.context()) } }
                    try await tasks.waitForAll()
                }
                #expect(try await test.wrongColumns() == Self.right)
                #expect(try await test.verify().isClean)
                #expect(try await position(.nightlyChats, test) == 0)
                #expect(try await position(.nightlyApplications, test) == 0)
            }
        }
    }

    /// After the first walk a run checks a few thousand chats, and the next run others.
    @Test func aRunLooksAtALittle() async throws {
        try await TestCluster.run { test in
            try await test.reconcile()
            try await test.sql(
                """
                INSERT INTO chats (application_id, number, messages_count, created_at, updated_at)
                SELECT ?, seq, 1, NOW(6), NOW(6) FROM seq_2_to_5000
                """, [.integer(test.tenant.rawValue)])
            try await test.reconcile()
            #expect(try await test.wrongColumns() == [4999 - 4095, 1])
            try await test.reconcile()
            #expect(try await test.wrongColumns() == Self.right)
            #expect(try await position(.endlessChats, test) == 0)
        }
    }
}
