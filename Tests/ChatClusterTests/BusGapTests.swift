import ChatCore
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// Missing numbers, and a bus that loses messages: every reader learns the outcome.
@Suite(.timeLimit(.minutes(4))) struct BusGapTests {
    /// A process has taken numbers and died.
    @Test func aHoleIsClosed() async throws {
        try await StreamNode.run(redis: [try await SharedServers.freshRedisDatabase()]) { nodes, test in
            try await nodes[0].waitUntilHearing()
            try await nodes[0].send("1", to: test.chat, test)
            let live = try await nodes[0].hub.subscribe(to: test.chat, after: nil)
            _ = try await test.redis("INCRBY", test.numberKey, "1500")
            try await nodes[0].send("1502", to: test.chat, test)
            let late = try await nodes[0].hub.subscribe(to: test.chat, after: 0)
            async let lateMessages = late.take(2)
            #expect(try await live.next().messages.numbers == [1502])
            #expect(try await lateMessages.numbers == [1, 1502])
            #expect(try await test.storedNumbers() == Array(1...1502))
            #expect(try await test.store.count(in: test.chat) == 2)
            #expect(try await test.verify().isClean)
            // An old one is closed at once.
            try await test.sql("UPDATE messages SET created_at = '2020-01-01' WHERE number = 1502")
            try await test.sql("DELETE FROM messages WHERE number = 700")
            try await test.sql("UPDATE chats SET void_count = void_count - 1")
            let again = try await nodes[0].hub.subscribe(to: test.chat, after: 600)
            #expect(try await again.next().messages.numbers == [1502])
            #expect(try await test.verify().isClean)
        }
    }

    /// A number is committed after higher ones, within the grace period, by another process that publishes nothing.
    @Test func aLateNumberIsWaitedFor() async throws {
        try await StreamNode.run(redis: [try await SharedServers.freshRedisDatabase()]) { nodes, test in
            try await nodes[0].waitUntilHearing()
            let live = try await nodes[0].hub.subscribe(to: test.chat, after: nil)
            _ = try await test.redis("INCRBY", test.numberKey, "2")
            // No key yet: the counter is the test's, and two numbers are on their way.
            try await nodes[0].send("3", to: test.chat, test)
            let late = try await nodes[0].hub.subscribe(to: test.chat, after: 0)
            async let lateMessages = late.take(3)
            async let liveMessages = live.take(3)
            try await test.insert(number: 2)
            try await test.insert(number: 1)
            #expect(try await liveMessages.numbers == [1, 2, 3])
            #expect(try await lateMessages.numbers == [1, 2, 3])
            #expect(try await test.verify().isClean)
        }
    }

    /// A reader that asks for the next message after a higher number was stored and before a lower one is.
    @Test func whoComesBeforeALateNumberGetsIt() async throws {
        let redis = try await SharedServers.freshRedisDatabase()
        try await StreamNode.run(redis: [redis, redis]) { nodes, test in
            for node in nodes { try await node.waitUntilHearing() }
            // Even the very first one.
            _ = try await test.redis("INCRBY", test.numberKey, "1")
            try await nodes[0].send("2", to: test.chat, test)
            let first = try await nodes[0].hub.subscribe(to: test.chat, after: nil)
            #expect(first.cursor.number == 0)
            try await test.insert(number: 1)
            #expect(try await first.take(2).numbers == [1, 2])
            #expect(try await nodes[0].hub.subscribe(to: test.chat, after: nil).cursor.number == 2)

            // A number whose writer is dead delays readers, and no longer than other gaps do.
            _ = try await test.redis("INCRBY", test.numberKey, "1")
            try await nodes[0].send("4", to: test.chat, test)
            let second = try await nodes[1].hub.subscribe(to: test.chat, after: nil)
            #expect(second.cursor.number == 2)
            #expect(try await second.next().messages.numbers == [4])
            #expect(try await test.verify().isClean)
        }
    }

    /// A number that has been missing for long is settled before a reader starts above it.
    @Test func aFeedStartsAboveOldHoles() async throws {
        try await StreamNode.run(redis: [try await SharedServers.freshRedisDatabase()]) { nodes, test in
            try await nodes[0].waitUntilHearing()
            for number: Int64 in [1, 1000, 1001, 1500] { try await test.insert(number: number) }
            try await test.sql("UPDATE messages SET created_at = '2020-01-01'")
            try await test.insert(number: 1502)
            let reader = try await nodes[0].hub.subscribe(to: test.chat, after: nil)
            #expect(reader.cursor.number == 1500)
            // Of the newest numbers all, of others none.
            #expect(try await test.storedNumbers() == [1] + Array(479...1500) + [1502])
            #expect(try await reader.next().messages.numbers == [1502])
        }
    }

    /// A writer that is late, after its number was closed, takes another one, and readers get its message.
    @Test func aNumberThatWasClosedIsNotUsed() async throws {
        try await StreamNode.run(redis: [try await SharedServers.freshRedisDatabase()]) { nodes, test in
            try await nodes[0].waitUntilHearing()
            let live = try await nodes[0].hub.subscribe(to: test.chat, after: nil)
            _ = try await test.redis("INCRBY", test.numberKey, "1")
            try await nodes[0].send("2", to: test.chat, test)
            #expect(try await live.next().messages.numbers == [2])
            _ = try await test.redis("SET", test.numberKey, "0")
            #expect(try await nodes[0].send("late", to: test.chat, test) == 3)
            #expect(try await live.next().messages.numbers == [3])
        }
    }

    /// The storing process cannot reach Redis; the reading one can, and receives nothing.
    @Test func aPublisherWithoutRedisIsNoticed() async throws {
        let redis = try await RedisServer.start()
        try await StreamNode.run(redis: [redis.url(), TestDatabase.deadRedis]) { nodes, test in
            try await nodes[0].waitUntilHearing()
            let far = try await nodes[0].hub.subscribe(to: test.chat, after: nil)
            let near = try await nodes[1].hub.subscribe(to: test.chat, after: nil)
            try await nodes[1].send("1", to: test.chat, test)
            #expect(try await near.next().messages.numbers == [1])
            #expect(try await far.next().messages.numbers == [1])
        }
    }

    /// The reading process cannot reach Redis at first, and then can.
    @Test func aReaderWithoutRedisAsksTheStore() async throws {
        let redis = try await RedisServer.start()
        try await StreamNode.run(redis: [redis.url(), redis.url()]) { nodes, test in
            redis.kill()
            try await eventually("the loss is noticed") { nodes.allSatisfy { !$0.isHearing } }
            let reader = try await nodes[1].hub.subscribe(to: test.chat, after: nil)
            try await nodes[0].send("1", to: test.chat, test)
            #expect(try await reader.next().messages.numbers == [1])
            try await redis.restart(empty: true)
            for node in nodes { try await node.waitUntilHearing() }
            try await eventually("it is subscribed") { try await redis.chatChannels() != "" }
            try await nodes[0].send("2", to: test.chat, test)
            #expect(try await reader.next().messages.numbers == [2])
        }
    }

    enum Trouble: String, CaseIterable, Sendable {
        case flush, kill, freeze, behind
    }

    /// Two processes write, two read, and Redis has its troubles: every reader gets what the table holds, once, in order.
    @Test(arguments: Trouble.allCases)
    func redisMayDoWhatItLikes(_ trouble: Trouble) async throws {
        let redis = try await RedisServer.start()
        let url = redis.url() + "?command-timeout=0.4&connect-timeout=0.4"
        try await StreamNode.run(redis: [url, url]) { nodes, test in
            for node in nodes { try await node.waitUntilHearing() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                let writes = 150
                for writer in 0..<4 {
                    group.addTask {
                        for round in 0..<writes {
                            try await nodes[writer % 2].send("\(writer) \(round)", to: test.chat, test)
                            try await Task.sleep(for: .milliseconds(10))
                        }
                    }
                }
                group.addTask { try await Self.make(trouble, redis) }
                let total = 4 * writes
                for reader in 0..<6 {
                    group.addTask {
                        // One reader from the start and one live: both must get the same messages.
                        let subscription = try await nodes[reader % 2].hub.subscribe(to: test.chat, after: 0)
                        var messages: [Message] = []
                        while messages.count < total { messages += try await subscription.next().messages }
                        #expect(messages.numbers == messages.numbers.sorted())
                        #expect(Set(messages.map(\.body)).count == total)
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await test.verify(mends: true).isClean)
        }
    }

    private static func make(_ trouble: Trouble, _ redis: RedisServer) async throws {
        let pause = Duration.milliseconds(300)
        for _ in 0..<3 {
            try await Task.sleep(for: pause)
            switch trouble {
            case .flush: _ = try await redis.cli("FLUSHALL")
            case .kill:
                redis.kill()
                try await Task.sleep(for: pause)
                try await redis.restart(empty: true)
            case .freeze:
                redis.freeze()
                try await Task.sleep(for: .milliseconds(1200))
                redis.thaw()
            case .behind:
                for key in try await redis.cli("KEYS", "chat:*:message_number").split(separator: "\n") {
                    _ = try await redis.cli("DECRBY", String(key), "7")
                }
            }
        }
    }
}
