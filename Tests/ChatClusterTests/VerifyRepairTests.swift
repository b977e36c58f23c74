import ChatCore
import MySQLClient
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// How `luciq verify --mend` repairs data of older builds, and the load that it puts on the database.
@Suite(.timeLimit(.minutes(3))) struct VerifyRepairTests {
    /// Messages as a build stored them that believed a counter of -3.
    private func storeBelowOne(_ test: TestCluster) async throws {
        for number in [-2, -1, 0] {
            try await test.insert(number: Int64(number))
            try await test.sql("UPDATE messages SET body = 'at \(number)' WHERE number = \(number)")
        }
        try await test.sql(
            "UPDATE idempotency_keys SET number = -1 WHERE scope_id = ? AND number = 2", [.integer(test.chat.rawValue)])
    }

    @Test func messagesBelowOneAreShownAgain() async throws {
        try await TestCluster.run { test in
            let stored = try await test.send(4, key: "k")
            #expect(stored == [1, 2, 3, 4])
            try await storeBelowOne(test)
            _ = try await test.redis("SET", test.numberKey, "-3")
            #expect(try await test.store.messages(in: test.chat, page: Page()).items.count == 4)
            #expect(try await test.verify().problemCount == 4)
            #expect(try await test.verify(mends: true).isClean)
            let items = try await test.store.messages(in: test.chat, page: Page()).items
            #expect(items.map(\.number.rawValue) == Array(1...7))
            #expect(items.suffix(3).map(\.body) == ["at -2", "at -1", "at 0"])
            #expect(try await test.store.count(in: test.chat) == 7)
            #expect(try await test.redis("GET", test.numberKey).string == "7")
            // A retry with the key of the one that was at -1.
            #expect(try await test.send(4, key: "k") == [1, 6, 3, 4])
            #expect(try await test.send(1) == [8])
            let after = try await test.verify(mends: true)
            #expect(after.isClean && after.mended == [])
        }
    }

    @Test func appendsMeanwhileTakeOtherNumbers() async throws {
        try await TestCluster.run { test in
            try await test.send(3)
            try await test.sql(
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                SELECT ?, -seq, 'old', NOW(6), NOW(6) FROM seq_0_to_1999
                """, [.integer(test.chat.rawValue)])
            let given = try await withThrowingTaskGroup(of: [Int64].self) { tasks in
                for writer in 0..<4 {
                    tasks.addTask {
                        var given: [Int64] = []
                        while !Task.isCancelled { given += try await test.send(writer + 1) }
                        return given
                    }
                }
                let report = try await test.verify(mends: true)
                #expect(report.mended.count { $0.contains("was below 1") } == StoreReport.listedProblems)
                tasks.cancelAll()
                return try await tasks.reduce(into: []) { $0 += $1 }
            }
            #expect(Set(given).count == given.count && !given.isEmpty)
            let rows = try await test.sql(
                "SELECT number FROM messages WHERE body <> 'old' AND number > 3 ORDER BY number")
            #expect(rows.map { $0[0] } == given.sorted())
            let old = try await test.sql("SELECT number FROM messages WHERE body = 'old' ORDER BY number").map { $0[0] }
            #expect(old.count == 2000 && old[0] > 3)
            #expect(try await test.verify(mends: true).isClean)
        }
    }

    /// Numbers that JSON parsers cannot tell apart are not part of a log; a walk still reaches the log's end.
    @Test func rowsAboveTheLastNumberAreLeftOut() async throws {
        try await TestCluster.run { test in
            try await test.send(5)
            try await test.insert(number: NumberedTable.lastNumber + 1)
            try await test.sql("UPDATE messages SET created_at = NOW(6) - INTERVAL 100 SECOND WHERE number > 5")
            #expect(try await test.store.tail(of: test.chat) == LogTail(upTo: 5))
            #expect(try await test.store.lastNumbers(of: [test.chat]) == [test.chat: 5])
            let limit = StreamLimits().page
            #expect(try await test.store.entries(in: test.chat, after: 0, limit: limit).count == 5)
            #expect(try await test.store.entries(in: test.chat, after: 5, limit: limit) == [])
            #expect(try await test.store.messages(in: test.chat, page: Page(order: .desc)).items.count == 5)
            try await test.reconcile()
            #expect(try await test.storedNumbers().count == 6)
            #expect(try await test.redis("GET", test.numberKey).string == "5")
            #expect(try await test.send(1) == [6])
        }
    }

    @Test(arguments: [
        ("-3", true), ("9007199254740990", true), ("9223372036854775807", true), ("2147483646", true), ("5000", true),
        ("word", true), ("2", false), ("900", nil),
    ])
    func countersOutOfBoundsArePutRight(_ held: String, _ isTold: Bool?) async throws {
        try await TestCluster.run { test in
            try await test.send(5)
            let chatKey = NumberedTable.chats.numberKey(test.tenant.rawValue)
            for key in [test.numberKey, chatKey] { _ = try await test.redis("SET", key, held) }
            let chatIsTold = isTold == true
            let found = try await test.verify()
            #expect(
                found.problems.count { $0.contains("chat 1: Redis' counter is \(held), ") } == (isTold == true ? 1 : 0))
            #expect(found.problemCount == (isTold == true ? 1 : 0) + (chatIsTold ? 1 : 0))
            #expect(try await test.redis("GET", test.numberKey).string == held)
            #expect(try await test.verify(mends: true).isClean)
            // A counter that may be right is not changed.
            #expect(try await test.redis("GET", test.numberKey).string == (isTold == nil ? held : "5"))
            #expect(try await test.redis("GET", chatKey).string == (chatIsTold ? "1" : held))
            let again = try await test.verify(mends: true)
            #expect(again.isClean && again.mended == [])
        }
    }

    @Test func mendingRecordsWhereVoidsLie() async throws {
        try await TestCluster.run { test in
            try await test.send(1)
            try await test.sql(
                """
                INSERT INTO messages (chat_id, number, created_at, updated_at, batch_id)
                SELECT ?, seq, NOW(6), NOW(6), -1 FROM seq_2_to_1000
                """, [.integer(test.chat.rawValue)])
            try await test.sql("UPDATE chats SET void_count = 999 WHERE id = ?", [.integer(test.chat.rawValue)])
            let runs = "SELECT last_number FROM void_runs WHERE scope = 1 AND first_number = 2"
            #expect(try await test.verify().isClean)
            #expect(try await test.sql(runs) == [])
            #expect(try await test.verify(mends: true).isClean)
            #expect(try await test.sql(runs) == [[1000]])
            #expect(try await test.verify().isClean)
        }
    }

    /// However large the tables, no statement looks at more than a bounded part of them.
    @Test func everyStatementIsBounded() async throws {
        let server = try await MariaDBServer.start([
            "--slow-query-log=1", "--long-query-time=0", "--log-slow-min-examined-row-limit=0", "--log-output=TABLE",
        ])
        try await TestCluster.run(try await TestCluster.configuration(mysql: server.url())) { test in
            let (app, chat) = (test.tenant.rawValue, test.chat.rawValue)
            for statement in [
                """
                INSERT INTO chats (application_id, number, created_at, updated_at)
                SELECT \(app), seq, NOW(6), NOW(6) FROM seq_2_to_3000
                """,
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                SELECT \(chat), seq, 'body', NOW(6), NOW(6) FROM seq_1_to_150000 WHERE seq % 1000 <> 5
                """,
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                SELECT id, seq, 'body', NOW(6), NOW(6) FROM chats, seq_1_to_40 WHERE id <> \(chat)
                """,
                "INSERT INTO application_counts VALUES (\(app), 99, 2999, 269810)",
                """
                INSERT INTO idempotency_keys
                SELECT 1, \(chat), CONCAT('k', seq), REPEAT('x', 32), 7, NOW(6) FROM seq_1_to_30000
                """,
                "ANALYZE TABLE applications, chats, messages, application_counts, idempotency_keys",
            ] { try await test.sql(statement) }
            _ = try await server.sql("TRUNCATE mysql.slow_log")
            let report = try await test.verify()
            #expect(report.problems.allSatisfy { $0.contains("is missing") } && report.problemCount == 150)
            #expect(report.chats == 3000 && report.messages == 149_850 + 2999 * 40)
            let largest = try await server.sql(
                "SELECT rows_examined, sql_text FROM mysql.slow_log ORDER BY rows_examined DESC LIMIT 1")
            let rows = try #require(Int64(largest.split(separator: "\t")[0]))
            #expect(rows > 1000 && rows <= 41_000, "\(largest)")
        }
    }
}
