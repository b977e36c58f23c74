import ChatCore
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// A chat's count: exact at any time, and seldom counted twice.
@Suite(.timeLimit(.minutes(2))) struct CountTests {
    /// How many of the newest numbers are never counted for good.
    private static let unsettled: Int64 = 1024

    private func counted(_ test: TestCluster) async throws -> Int64 {
        try await test.sql("SELECT counted_number FROM chats WHERE id = ?", [.integer(test.chat.rawValue)])[0][0]
    }

    private func advance(_ test: TestCluster) async throws -> Int64 {
        try await test.store.scans.withConnection { try Counting.advance(test.chat.rawValue, $0) }
        return try await counted(test)
    }

    /// Fills a chat with rows as the Rails application would, and no others' counts.
    private func fill(_ test: TestCluster, _ numbers: ClosedRange<Int>) async throws {
        try await test.sql(
            """
            INSERT INTO messages (chat_id, number, body, created_at, updated_at)
            SELECT ?, seq, 'x', NOW(6), NOW(6) FROM seq_\(numbers.lowerBound)_to_\(numbers.upperBound)
            """, [.integer(test.chat.rawValue)])
    }

    private func delete(_ test: TestCluster, _ number: Int64) async throws {
        try await test.sql(
            "DELETE FROM messages WHERE chat_id = ? AND number = ?", [.integer(test.chat.rawValue), .integer(number)])
    }

    @Test func itMovesToJustBeforeTheNewest() async throws {
        try await TestCluster.run { test in
            #expect(try await advance(test) == 0)
            try await fill(test, 1...1000)
            #expect(try await advance(test) == 0)
            try await fill(test, 1001...3000)
            #expect(try await advance(test) == 3000 - Self.unsettled)
            #expect(try await test.store.count(in: test.chat) == 3000)
            // Repeating it changes nothing, and the number never goes back.
            #expect(try await advance(test) == 3000 - Self.unsettled)
            try await fill(test, 3001...3010)
            #expect(try await advance(test) == 3010 - Self.unsettled)
            #expect(try await test.store.count(in: test.chat) == 3010)
        }
    }

    @Test func aHoleStopsIt() async throws {
        try await TestCluster.run { test in
            try await fill(test, 1...3000)
            try await delete(test, 500)
            #expect(try await advance(test) == 0)
            #expect(try await test.store.count(in: test.chat) == 2999)
            // A hole among the newest numbers blocks nothing.
            try await delete(test, 2500)
            #expect(try await advance(test) == 0)
            #expect(try await test.store.settle(Message.Number(500), in: test.chat) == nil)
            #expect(try await advance(test) == 3000 - Self.unsettled)
            #expect(try await test.store.count(in: test.chat) == 2998)
            #expect(try await test.store.chat(Chat.Number(1), in: test.tenant)?.messagesCount == 2998)
            #expect(try await test.store.chats(in: test.tenant, page: Page()).items.map(\.messagesCount) == [2998])
        }
    }

    @Test func voidsAreTakenOffBeforeAndAfter() async throws {
        try await TestCluster.run { test in
            try await fill(test, 1...3000)
            for number in [7, 1976, 1977, 2999] as [Int64] { try await delete(test, number) }
            for number in [7, 1976, 1977, 2999] as [Int64] {
                #expect(try await test.store.settle(Message.Number(number), in: test.chat) == nil)
            }
            #expect(try await test.store.count(in: test.chat) == 2996)
            #expect(try await advance(test) == 1976)
            #expect(try await test.store.count(in: test.chat) == 2996)
            #expect(try await test.send(4) == [3001, 3002, 3003, 3004])
            #expect(try await test.store.settle(Message.Number(3006), in: test.chat) == nil)
            #expect(try await test.store.count(in: test.chat) == 3000)
            #expect(try await test.store.chats(in: test.tenant, page: Page()).items.map(\.messagesCount) == [3000])
        }
    }

    @Test func aReaderThatFindsMuchMovesIt() async throws {
        try await TestCluster.run { test in
            try await fill(test, 1...4096)
            #expect(try await test.store.count(in: test.chat) == 4096)
            try await fill(test, 4097...4097)
            // Whichever way it is read.
            for (index, read) in [
                { try await test.store.count(in: test.chat) },
                { try await test.store.chat(Chat.Number(1), in: test.tenant)?.messagesCount },
                { try await test.store.chats(in: test.tenant, page: Page()).items.first?.messagesCount },
            ].enumerated() as EnumeratedSequence<[() async throws -> Int64?]> {
                #expect(try await counted(test) == 0, "\(index)")
                #expect(try await read() == 4097)
                try await eventually("the count moves on") { try await counted(test) == 4097 - Self.unsettled }
                #expect(try await read() == 4097)
                try await test.sql("UPDATE chats SET counted_number = 0")
            }
        }
    }

    /// The reader below the bound starts no update. There is no event to wait for, so the test runs the update that it
    /// would have started.
    @Test func aReaderThatFindsLittleMovesNothing() async throws {
        try await TestCluster.run { test in
            try await fill(test, 1...4096)
            let count = try await test.store.scans.withConnection { connection in
                try connection.first("SELECT \(ChatCount.columns) FROM chats") { ChatCount($0, from: 0) }
            }
            #expect(count?.uncounted == 4096 && count?.messages == 4096)
            for _ in 0..<3 { #expect(try await test.store.count(in: test.chat) == 4096) }
            // The scans' connections are done with what was asked before this.
            #expect(try await advance(test) == 4096 - Self.unsettled)
        }
    }

    @Test func itIsExactWhileOthersAppend() async throws {
        try await TestCluster.run { test in
            try await fill(test, 1...3000)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for writer in 0..<3 {
                    tasks.addTask { for _ in 0..<40 { try await test.send(writer + 1) } }
                }
                tasks.addTask { for _ in 0..<40 { _ = try await advance(test) } }
                var last: Int64 = 3000
                for _ in 0..<60 {
                    let count = try #require(try await test.store.count(in: test.chat))
                    #expect(count >= last)
                    last = count
                }
                try await tasks.waitForAll()
            }
            #expect(try await test.store.count(in: test.chat) == 3000 + 40 * 6)
            #expect(try await advance(test) == 3240 - Self.unsettled)
            #expect(try await test.store.count(in: test.chat) == 3240)
        }
    }
}
