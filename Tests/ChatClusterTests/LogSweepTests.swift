import ChatCore
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// How a reader in a cluster learns which chats have changed.
@Suite(.timeLimit(.minutes(2))) struct LogSweepTests {
    private static let reader: LogReader.Name = "webhooks"

    private func reader(_ test: TestCluster, at time: Timestamp) -> LogReader {
        LogReader(Self.reader, readers: test.store, messages: test.store, log: test.store, clock: WallClock { time })
    }

    /// - Returns: the numbers that a sweep gives, in the chats in their order.
    private func sweep(_ test: TestCluster, at time: Timestamp = WallClock.system.now()) async throws -> [Int64] {
        var numbers: [Int64] = []
        try await reader(test, at: time).sweep { numbers += $1.map(\.number.rawValue) }
        return numbers
    }

    /// A late message is delivered, and later ones wait for it.
    @Test func aSlowWriterIsWaitedFor() async throws {
        try await TestCluster.run { test in
            let start = WallClock.system.now()
            try await test.send(1)
            try await test.insert(number: 3)
            #expect(try await sweep(test, at: start) == [1])
            #expect(try await sweep(test, at: start) == [])
            try await test.insert(number: 2)
            #expect(try await sweep(test, at: start) == [2, 3])
        }
    }

    /// If the reader stopped within a chat, the chat's change leads to it again, however old it is.
    @Test func whatItStoppedBeforeIsFoundAgain() async throws {
        try await TestCluster.run { test in
            let start = WallClock.system.now()
            #expect(try await sweep(test) == [])
            _ = try await test.redis("SET", test.numberKey, "2")
            #expect(try await test.send(1) == [3])
            try await test.sql("UPDATE messages SET created_at = UTC_TIMESTAMP(6)")
            for _ in 0..<2 { #expect(try await sweep(test, at: start) == []) }
            try await test.sql("UPDATE log_changes SET changed_at = changed_at - INTERVAL 20 MINUTE")
            try await test.sql("UPDATE log_cursors SET number = number - 1200000000 WHERE chat_id = 0")
            #expect(try await sweep(test, at: start) == [])
            #expect(try await sweep(test, at: start.adding(.seconds(600))) == [3])
            #expect(try await test.storedNumbers() == [1, 2, 3])
        }
    }

    /// The cost of a sweep depends on what has changed; unchanged chats are not read.
    @Test func aSweepGoesByTheChanges() async throws {
        try await TestCluster.run { test in
            try await test.send(1)
            #expect(try await sweep(test) == [1])
            let chat = try await test.makeChats(1)
            try await test.send(toEach: chat)
            try await test.sql("DELETE FROM log_changes")
            #expect(try await sweep(test) == [])
            // Until it looks at everything, because it has been away for an hour.
            try await test.sql("UPDATE log_cursors SET number = number - 3600000000 WHERE chat_id = 0")
            #expect(try await sweep(test) == [1])
        }
    }

    /// One whose pages take so long that the changes of the last are deleted looks at all chats.
    @Test func aSlowSweepBecomesAWalk() async throws {
        try await TestCluster.run { test in
            try await test.send(1)
            #expect(try await sweep(test) == [1])
            var sweep = try await test.store.beginSweep(of: Self.reader)
            #expect(!sweep.isWalk)
            sweep.place = sweep.start - LogChanges.kept
            #expect(try await test.store.nextChats(of: &sweep) == [test.chat])
            #expect(sweep.isWalk)
            #expect(try await test.store.nextChats(of: &sweep) == nil)
        }
    }
}
