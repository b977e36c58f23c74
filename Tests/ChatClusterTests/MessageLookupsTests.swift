import ChatCore
import MySQLClient
import Synchronization
import TestSupport
import Testing

@testable import ChatCluster

/// Look-ups of single messages, many in one statement.
@Suite(.timeLimit(.minutes(2))) struct MessageLookupsTests {
    /// Every look-up gets its own message, whatever else is read with it: of other chats, missing, void, asked for twice.
    @Test func everyLookUpGetsItsOwnMessage() async throws {
        try await TestCluster.run { test in
            let other = try await test.anotherChat()
            try await test.send(100)
            try await test.send(30, to: other)
            try await test.sql(
                "UPDATE messages SET batch_id = \(BatchID.void) WHERE chat_id = \(other.rawValue) AND number = 7")
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for chat in [test.chat, other] {
                    for number in (1...130).map({ Int64($0) }) + [.max, 1, 7] {
                        tasks.addTask {
                            let message = try await test.store.message(Message.Number(number), in: chat)
                            let isThere = number <= (chat == other ? 30 : 100) && !(chat == other && number == 7)
                            #expect(message?.number.rawValue == (isThere ? number : nil), "\(chat) \(number)")
                            #expect(message?.body == (isThere ? "m\(number - 1)" : nil), "\(chat) \(number)")
                        }
                    }
                }
                try await tasks.waitForAll()
            }
        }
    }

    /// What statements were made of, and whether they may end.
    private final class Reads: Sendable {
        let sizes = Mutex<[Int]>([])
        let isReleased = Mutex(false)
    }

    private static let key = MessageLookups.Key(chat: Chat.ID(1), number: Message.Number(1))

    private func keys(_ count: Int) -> [MessageLookups.Key] {
        (1...count).map { MessageLookups.Key(chat: Chat.ID(1), number: Message.Number(Int64($0))) }
    }

    /// Four statements at a time, of one look-up where nothing waits; the others gather, 64 in each.
    @Test func lookUpsGatherWhileOthersAreRead() async throws {
        let lookups = MessageLookups()
        let reads = Reads()
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for (index, key) in keys(4 + 130).enumerated() {
                tasks.addTask {
                    let message = try await lookups.message(key) { batch in
                        reads.sizes.withLock { $0.append(batch.count) }
                        while !reads.isReleased.withLock(\.self) { await Task.yield() }
                        return [:]
                    }
                    #expect(message == nil)
                }
                // The first four have begun before others come.
                if index < 4 { try await eventually("it is read") { reads.sizes.withLock(\.count) == index + 1 } }
            }
            try await eventually("the others wait") { lookups.waiting == 130 }
            #expect(reads.sizes.withLock(\.self) == [1, 1, 1, 1])
            reads.isReleased.withLock { $0 = true }
            try await tasks.waitForAll()
        }
        #expect(reads.sizes.withLock { $0.dropFirst(4).reduce(0, +) } == 130)
        #expect(reads.sizes.withLock { $0.allSatisfy { $0 <= MessageLookups.most } })
        #expect(reads.sizes.withLock(\.count) <= 4 + 4)
    }

    @Test func aFailureIsEveryonesOfTheStatement() async throws {
        let lookups = MessageLookups()
        for _ in 0..<8 {
            await #expect(throws: ChatError.outcomeUnknown) {
                try await lookups.message(Self.key) { _ in throw ChatError.outcomeUnknown }
            }
        }
        // None is in flight any more.
        #expect(try await lookups.message(Self.key) { _ in [:] } == nil)
    }

    /// Those that wait are bounded; one that is refused leaves the others as they are.
    @Test func pastTheBoundLookUpsAreRefused() async throws {
        let (lookups, reads) = (MessageLookups(), Reads())
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            func ask() {
                tasks.addTask {
                    _ = try await lookups.message(Self.key) { batch in
                        reads.sizes.withLock { $0.append(batch.count) }
                        while !reads.isReleased.withLock(\.self) { try await Task.sleep(for: .milliseconds(1)) }
                        return [:]
                    }
                }
            }
            for index in 0..<4 {
                ask()
                try await eventually("it is read") { reads.sizes.withLock(\.count) == index + 1 }
            }
            for _ in 0..<MessageLookups.mostWaiting { ask() }
            try await eventually("as many wait as may") { lookups.waiting == MessageLookups.mostWaiting }
            await #expect(throws: ChatError.overloaded) { try await lookups.message(Self.key) { _ in [:] } }
            reads.isReleased.withLock { $0 = true }
            try await tasks.waitForAll()
        }
        #expect(reads.sizes.withLock { $0.reduce(0, +) } == 4 + MessageLookups.mostWaiting)
    }

    /// The index is used, however many are asked for.
    @Test(arguments: [1, 4, 16, 64]) func theStatementReadsNoOtherRows(_ count: Int) async throws {
        try await TestCluster.run { test in
            for _ in 0..<4 { try await test.send(500) }
            let condition = (1...count).map { "(chat_id = \(test.chat.rawValue) AND number = \($0 * 7))" }
            let sql = """
                EXPLAIN SELECT number FROM messages WHERE batch_id >= 0 AND (\(condition.joined(separator: " OR ")))
                """
            let plan = try await test.store.scans.withConnection { connection in
                try connection.rows(sql) { (row) -> (key: String, rows: Int64) in (row.text(5), row.integer(8)) }
            }
            #expect(plan.map(\.key) == ["index_messages_on_chat_id_and_number"])
            #expect(plan[0].rows <= count)
        }
    }
}
