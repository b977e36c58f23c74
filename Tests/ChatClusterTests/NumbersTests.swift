import ChatCore
import MySQLClient
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// What Redis may do to numbers, and how the store reacts.
@Suite(.timeLimit(.minutes(2))) struct NumbersTests {
    @Test func aKeyThatIsGoneIsTakenFromTheDatabase() async throws {
        try await TestCluster.run { test in
            #expect(try await test.send(3) == [1, 2, 3])
            _ = try await test.redis("DEL", test.numberKey)
            #expect(try await test.send(2) == [4, 5])
            #expect(try await test.redis("GET", test.numberKey).integer == 5)
            #expect(try await test.verify().isClean)
        }
    }

    @Test func aCounterThatIsBehindIsRaised() async throws {
        try await TestCluster.run { test in
            try await test.send(10)
            _ = try await test.redis("SET", test.numberKey, "4")
            #expect(try await test.send(3) == [11, 12, 13])
            #expect(try await test.redis("GET", test.numberKey).integer == 13)
            #expect(try await test.verify().isClean)
        }
    }

    @Test func aCounterThatIsALittleBehindKeepsTheNumbersThatAreFree() async throws {
        try await TestCluster.run { test in
            try await test.send(10)
            _ = try await test.redis("SET", test.numberKey, "9")
            #expect(try await test.send(3) == [11, 12, 13])
            #expect(try await test.verify().isClean)
        }
    }

    /// Whatever the counter holds, numbers continue after the database's highest, and the counter is corrected.
    @Test(arguments: [
        "no number", "", "1.5", "0x10", "-1", "-3", "5000", "3000000", "2147483646", "2147483647", "9007199254740992",
        "9223372036854775806", "9223372036854775807", "99999999999999999999",
    ])
    func aCounterOutOfBoundsIsPutRight(_ value: String) async throws {
        try await TestCluster.run { test in
            try await test.send(2)
            _ = try await test.redis("SET", test.numberKey, value)
            #expect(try await test.send(2) == [3, 4])
            #expect(try await test.redis("GET", test.numberKey).integer == 4)
            #expect(try await test.verify().isClean)
        }
    }

    @Test func anotherTypeInItsPlaceIsReplaced() async throws {
        try await TestCluster.run { test in
            try await test.send(2)
            _ = try await test.redis("DEL", test.numberKey)
            _ = try await test.redis("LPUSH", test.numberKey, "x")
            #expect(try await test.send(2) == [3, 4])
            #expect(try await test.redis("GET", test.numberKey).integer == 4)
            #expect(try await test.verify().isClean)
        }
    }

    @Test(arguments: ["-3", "0", "3000000", "2147483646"])
    func aChatCounterOutOfBoundsIsPutRight(_ value: String) async throws {
        try await TestCluster.run { test in
            _ = try await test.redis("SET", NumberedTable.chats.numberKey(test.tenant.rawValue), value)
            let new = [NewChat(tenant: test.tenant), NewChat(tenant: test.tenant)]
            let numbers = try await test.store.append(new, at: TestCluster.time).map { try $0.get().number.rawValue }
            #expect(numbers == [2, 3])
            #expect(try await test.verify().isClean)
        }
    }

    /// Other processes have moved on by more than the bound since this one looked.
    @Test func aCounterThatIsRightlyFarAheadIsKept() async throws {
        try await TestCluster.run { test in
            try await test.send(1)
            try await test.insert(number: 20_000)
            _ = try await test.redis("SET", test.numberKey, "20100")
            #expect(try await test.send(2) == [20_101, 20_102])
            #expect(try await test.redis("GET", test.numberKey).integer == 20_102)
        }
    }

    /// Each process sees the same wrong counter and corrects it.
    @Test func manyAtOncePutACounterRight() async throws {
        try await TestCluster.run { test in
            try await test.send(2)
            _ = try await test.redis("SET", test.numberKey, "3000000")
            let numbers = try await withThrowingTaskGroup(of: [Int64].self) { tasks in
                for _ in 0..<4 { tasks.addTask { try await test.send(5) } }
                return try await tasks.reduce(into: []) { $0 += $1 }
            }
            #expect(numbers.count == 20 && Set(numbers).count == 20 && numbers.max()! < 100)
            #expect(try await test.verify(mends: true).isClean)
        }
    }

    /// Beyond what the Rails application's INT could hold.
    @Test func numbersGoOnBeyond32Bits() async throws {
        try await TestCluster.run { test in
            try await test.insert(number: 2_147_483_647)
            #expect(try await test.send(2) == [2_147_483_648, 2_147_483_649])
            #expect(try await test.store.message(Message.Number(2_147_483_649), in: test.chat)?.body == "m1")
        }
    }

    @Test func withoutRedisTheDatabaseIsAsked() async throws {
        let redis = try await RedisServer.start()
        try await TestCluster.run(TestCluster.configuration(redis: redis.url())) { test in
            #expect(try await test.send(2) == [1, 2])
            redis.kill()
            #expect(try await test.send(2) == [3, 4])
            #expect(try await test.send(1) == [5])
            #expect(
                try await test.store.append([NewChat(tenant: test.tenant)], at: TestCluster.time)[0].get().number
                    .rawValue == 2)
            #expect(try await test.store.count(in: test.chat) == 5)
            try await redis.restart(empty: true)
            try await test.store.redis.waitUntilConnected(timeout: .seconds(10))
            #expect(try await test.send(2) == [6, 7])
            #expect(try await test.redis("GET", test.numberKey).integer == 7)
            #expect(try await test.verify().isClean)
        }
    }

    @Test func aFrozenRedisCostsOneDeadline() async throws {
        let redis = try await RedisServer.start()
        try await TestCluster.run(TestCluster.configuration(redis: redis.url())) { test in
            try await test.send(1)
            redis.freeze()
            #expect(try await test.send(2) == [2, 3])
            #expect(!test.store.redis.isConnected)
            #expect(try await test.send(2) == [4, 5])
            redis.thaw()
            try await test.store.redis.waitUntilConnected(timeout: .seconds(10))
            // The frozen server raised the counter although nobody used the result: two numbers are unused.
            let numbers = try await test.send(2)
            #expect(numbers == numbers.sorted() && numbers[0] > 5)
            #expect(try await test.verify(mends: true).isClean)
            #expect(try await test.verify().isClean)
            #expect(try await test.store.count(in: test.chat) == 7)
        }
    }

    @Test func anotherNodesNumbersAreLeftAlone() async throws {
        try await TestCluster.run { test in
            try await test.send(2)
            // Taken by a writer that asked the database.
            try await test.insert(number: 3)
            try await test.insert(number: 5)
            #expect(try await test.send(3) == [4, 6, 7])
            #expect(try await test.storedNumbers() == Array(1...7))
            #expect(try await test.verify().isClean)
        }
    }

    @Test func aVoidNumberIsAFence() async throws {
        try await TestCluster.run { test in
            try await test.send(2)
            #expect(try await test.store.settle(Message.Number(3), in: test.chat) == nil)
            // A slow writer that had been given 3 comes now.
            #expect(try await test.send(2) == [4, 5])
            #expect(try await test.store.settle(Message.Number(3), in: test.chat) == nil)
            #expect(try await test.store.settle(Message.Number(4), in: test.chat)?.body != nil)
            #expect(try await test.store.message(Message.Number(3), in: test.chat) == nil)
            #expect(
                try await test.store.messages(in: test.chat, page: Page()).items.map(\.number.rawValue) == [1, 2, 4, 5])
            let found = try await test.store.search(SearchQuery(SearchText("m")), in: test.chat, page: Page())
            #expect(found.items.map(\.number.rawValue) == [1, 2, 4, 5])
            #expect(try await test.store.messages(in: test.chat, page: Page(after: 2)).hasPrevious)
            #expect(try await test.store.count(in: test.chat) == 4)
            #expect(try await test.verify().isClean)
            await #expect(throws: ChatError.notFound) {
                try await test.store.settle(Message.Number(1), in: Chat.ID(987_654))
            }
        }
    }

    @Test func voidChatsAreHidden() async throws {
        try await TestCluster.run { test in
            try await test.store.settle(
                2...2, of: test.tenant.rawValue, in: .chats, patience: .seconds(5))
            try await test.store.settle(
                1...1, of: test.tenant.rawValue, in: .chats, patience: .seconds(5))
            let number = try await test.store.append([NewChat(tenant: test.tenant)], at: TestCluster.time)[0].get()
                .number
            #expect(number.rawValue == 3)
            #expect(try await test.store.id(of: Chat.Number(2), in: test.tenant) == nil)
            #expect(try await test.store.chat(Chat.Number(2), in: test.tenant) == nil)
            #expect(try await test.store.chats(in: test.tenant, page: Page()).items.map(\.number.rawValue) == [1, 3])
            #expect(try await test.store.tenant(test.tenant)?.chatsCount == 2)
            #expect(try await test.verify().isClean)
        }
    }

    /// The first attempt's connection dies after the server has committed; the answer is lost.
    @Test func aCommitThatNobodyHeardOfIsFound() async throws {
        try await TestCluster.run { test in
            let first = try await test.send(2, key: "k")
            // A process that retries its batch finds its own rows. Here it finds another batch's, with the same keys.
            #expect(try await test.send(2, key: "k") == first)
            #expect(try await test.storedNumbers() == [1, 2])
        }
    }

    @Test func aKeyStoredMeanwhileMakesItsNumberVoid() async throws {
        try await TestCluster.run { test in
            // Both look for the key, both find none, both store.
            try await withThrowingTaskGroup(of: [Int64].self) { tasks in
                for _ in 0..<8 { tasks.addTask { try await test.send(3, key: "same") } }
                var answers: Set<[Int64]> = []
                for try await numbers in tasks { answers.insert(numbers) }
                #expect(answers.count == 1)
            }
            #expect(try await test.store.count(in: test.chat) == 3)
            #expect(try await test.verify(mends: true).isClean)
            #expect(try await test.verify().isClean)
        }
    }

    @Test func adoptedCountersAreDropped() async throws {
        try await TestCluster.run { test in
            _ = try await test.redis("SET", test.numberKey, "700")
            _ = try await test.redis("SET", "unrelated:message_number", "7")
            let source = NumberSource(redis: test.store.redis, table: .messages)
            try await source.forgetAll()
            #expect(try await test.redis("GET", test.numberKey) == .null)
            #expect(try await test.redis("GET", "unrelated:message_number").integer == 7)
        }
    }
}
