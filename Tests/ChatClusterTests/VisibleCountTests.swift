import ChatCore
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// Counts of spans of numbers, by arithmetic, among void numbers, gaps and numbers that are not settled yet.
@Suite(.timeLimit(.minutes(2))) struct VisibleCountTests {
    @Test func theyAreWhatTheRowsSay() async throws {
        try await TestCluster.run { test in
            var random = SeededRandom(seed: 7)
            func check(_ comment: Comment) async throws {
                for _ in 0..<40 {
                    let first = Int64.random(in: 1...110, using: &random)
                    let last = Bool.random(using: &random) ? Int64.max : Int64.random(in: 1...110, using: &random)
                    let rows = try await test.sql(
                        "SELECT COUNT(*) FROM messages WHERE chat_id = ? AND number >= ? AND number <= ? AND batch_id >= 0",
                        [.integer(test.chat.rawValue), .integer(first), .integer(last)])[0][0]
                    let count = try await test.store.messageCount(
                        of: test.chat, in: NumberSpan(first: first, last: last))
                    #expect(count == rows, "\(comment): \(first) to \(last)")
                }
            }
            try await test.send(30)
            try await check("dense")
            // Void ones, in runs and alone; and a gap.
            try await test.insert(number: 45)
            try await test.store.settle(31...40, in: test.chat)
            try await test.store.settle(43...43, in: test.chat)
            try await check("with a gap")
            try await test.store.settle(41...45, in: test.chat)
            for number in 46...100 as ClosedRange<Int64> where number % 7 != 0 { try await test.insert(number: number) }
            try await test.store.settle(46...100, in: test.chat)
            for counted in [0, 20, 35, 70, 100] as [Int64] {
                try await test.sql(
                    "UPDATE chats SET counted_number = \(counted) WHERE id = ?", [.integer(test.chat.rawValue)])
                try await check("counted to \(counted)")
            }
            #expect(
                try await test.sql("SELECT SUM(last_number - first_number + 1) FROM message_voids")
                    == test.sql("SELECT void_count FROM chats WHERE id = ?", [.integer(test.chat.rawValue)]))
            // Those of a server of before are not recorded.
            try await test.sql("DELETE FROM message_voids WHERE first_number < 40")
            try await check("not all are recorded")
        }
    }
}
