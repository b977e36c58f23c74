import ChatCore
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// What `luciq verify` finds, and what it puts right.
@Suite(.timeLimit(.minutes(2))) struct VerifyTests {
    /// One kind of damage, done by SQL with `CHAT` and `APP` for the ids.
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let sql: [String]
        /// Without "Application abc…, id n: ", the prefix of problems within an application.
        let problems: [String]
        var isMendable = false
        /// The report's text for the repair, if it differs from the problem.
        var mended: [String]?
    }

    private static let time = "'2025-11-22 17:04:24.194123'"
    private static let lessMessages =
        "UPDATE application_counts SET messages = messages - 1 WHERE application_id = APP AND messages > 0 LIMIT 1"
    private static let lessChats =
        "UPDATE application_counts SET chats = chats - 1 WHERE application_id = APP AND chats > 0 LIMIT 1"

    static let damages = [
        Damage(
            testDescription: "a gap", sql: ["DELETE FROM messages WHERE chat_id = CHAT AND number = 3", lessMessages],
            problems: ["chat 1: message 3 is missing"], isMendable: true,
            mended: ["chat 1: message 3 was missing and is void now"]),
        Damage(
            testDescription: "no first messages",
            sql: ["DELETE FROM messages WHERE chat_id = CHAT AND number < 3", lessMessages, lessMessages],
            problems: ["chat 1: message 1 is missing", "chat 1: message 2 is missing"], isMendable: true,
            mended: [1, 2].map { "chat 1: message \($0) was missing and is void now" }),
        Damage(
            testDescription: "a chat gap",
            sql: ["DELETE FROM chats WHERE application_id = APP AND number = 2", lessChats],
            problems: ["chat 2 is missing"], isMendable: true, mended: ["chat 2 was missing and is void now"]),
        Damage(
            testDescription: "too few messages counted", sql: [lessMessages],
            problems: ["the count of messages is 4, but the rows say 5"], isMendable: true),
        Damage(
            testDescription: "too many chats counted",
            sql: ["INSERT INTO application_counts VALUES (APP, 99, 7, 0)"],
            problems: ["the count of chats is 10, but the rows say 3"], isMendable: true),
        Damage(
            testDescription: "no counts at all", sql: ["DELETE FROM application_counts"],
            problems: [
                "the count of chats is 0, but the rows say 3", "the count of messages is 0, but the rows say 5",
            ], isMendable: true),
        Damage(
            testDescription: "voids counted that are none", sql: ["UPDATE chats SET void_count = 2 WHERE id = CHAT"],
            problems: ["chat 1: void_count is 2, but the rows say 0"], isMendable: true),
        Damage(
            testDescription: "voids not counted",
            sql: ["UPDATE messages SET batch_id = -1, body = NULL WHERE chat_id = CHAT AND number = 2", lessMessages],
            problems: ["chat 1: void_count is 0, but the rows say 1"], isMendable: true),
        Damage(
            testDescription: "counted beyond the end", sql: ["UPDATE chats SET counted_number = 9 WHERE id = CHAT"],
            problems: ["chat 1: counted_number is 9, but message 6 is missing"], isMendable: true),
        Damage(
            testDescription: "counted beyond a gap",
            sql: [
                "UPDATE chats SET counted_number = 5 WHERE id = CHAT",
                "DELETE FROM messages WHERE chat_id = CHAT AND number = 4", lessMessages,
            ],
            problems: [
                "chat 1: counted_number is 5, but message 4 is missing", "chat 1: message 4 is missing",
            ], isMendable: true,
            mended: [
                "chat 1: counted_number is 5, but message 4 is missing",
                "chat 1: message 4 was missing and is void now",
            ]),
        Damage(
            testDescription: "an orphaned chat",
            sql: [
                "SET FOREIGN_KEY_CHECKS = 0",
                """
                INSERT INTO chats (id, application_id, number, created_at, updated_at)
                VALUES (777, 888, 5, \(time), \(time))
                """, "SET FOREIGN_KEY_CHECKS = 1",
            ],
            problems: ["Chat 5, id 777, belongs to no application"]),
        Damage(
            testDescription: "orphaned messages",
            sql: [
                "SET FOREIGN_KEY_CHECKS = 0",
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                VALUES (999, 1, 'x', \(time), \(time)), (999, 7, 'x', \(time), \(time))
                """, "SET FOREIGN_KEY_CHECKS = 1",
            ],
            problems: ["The messages of chat id 999 belong to no chat"]),
        Damage(
            testDescription: "a key of a missing message",
            sql: ["INSERT INTO idempotency_keys VALUES (1, CHAT, 'k', REPEAT('x', 32), 6, \(time))"],
            problems: ["Idempotency key of chat id CHAT: number 6 is missing"]),
        Damage(
            testDescription: "a key of a missing chat",
            sql: ["INSERT INTO idempotency_keys VALUES (2, APP, 'k', REPEAT('x', 32), 4, \(time))"],
            problems: ["Idempotency key of application id APP: number 4 is missing"]),
        Damage(
            testDescription: "messages below 1",
            sql: [
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                VALUES (CHAT, -1, 'x', \(time), \(time))
                """,
                "INSERT INTO application_counts VALUES (APP, 99, 0, 1)",
            ],
            problems: ["chat 1: message -1 is below 1"], isMendable: true,
            mended: ["chat 1: message -1 was below 1 and is 6 now"]),
        Damage(
            testDescription: "message 0",
            sql: [
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                VALUES (CHAT, 0, 'x', \(time), \(time))
                """,
                "INSERT INTO application_counts VALUES (APP, 99, 0, 1)",
            ],
            problems: ["chat 1: message 0 is below 1"], isMendable: true,
            mended: ["chat 1: message 0 was below 1 and is 6 now"]),
        Damage(
            testDescription: "a message above the last number",
            sql: [
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                VALUES (CHAT, 9007199254740992, 'x', \(time), \(time))
                """,
                "INSERT INTO application_counts VALUES (APP, 99, 0, 1)",
            ],
            problems: ["chat 1: message 9007199254740992 is above 2^53 - 1, in no list"], isMendable: true,
            mended: ["chat 1: message 9007199254740992 was above 2^53 - 1, in no list and is 6 now"]),
        Damage(
            testDescription: "a long gap",
            sql: [
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                VALUES (CHAT, 12000, 'x', \(time), \(time))
                """,
                "INSERT INTO application_counts VALUES (APP, 99, 0, 1)",
            ],
            problems: ["chat 1: messages 6 to 11999 are missing"], isMendable: true,
            mended: ["chat 1: messages 6 to 11999 were missing and are void now"]),
        Damage(
            testDescription: "a gap that is too wide",
            sql: [
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                VALUES (CHAT, 2147483647, 'x', \(time), \(time))
                """,
                "INSERT INTO application_counts VALUES (APP, 99, 0, 1)",
            ],
            problems: ["chat 1: messages 6 to 2147483646 are missing, too many to be made void"]),
        Damage(
            testDescription: "voids recorded that are none", sql: ["INSERT INTO void_runs VALUES (1, CHAT, 2, 4)"],
            problems: ["A record of void numbers is wrong, chat id CHAT: messages 2 to 4"], isMendable: true),
        Damage(
            testDescription: "chats below 1",
            sql: [
                """
                INSERT INTO chats (application_id, number, created_at, updated_at)
                VALUES (APP, 0, \(time), \(time)), (APP, -3, \(time), \(time))
                """,
                "INSERT INTO application_counts VALUES (APP, 99, 2, 0)",
            ],
            problems: ["chat -3 is below 1", "chat 0 is below 1"], isMendable: true,
            mended: ["chat -3 was below 1 and is 4 now", "chat 0 was below 1 and is 5 now"]),
    ]

    /// Fills the store: chat 1 with five messages, and two empty chats.
    private func fill(_ test: TestCluster) async throws {
        try await test.send(5)
        _ = try await test.store.append(
            [NewChat(tenant: test.tenant), NewChat(tenant: test.tenant)], at: TestCluster.time)
        #expect(try await test.verify().isClean)
    }

    @Test(arguments: damages)
    func damageIsFoundAndMended(_ damage: Damage) async throws {
        try await TestCluster.run { test in
            try await fill(test)
            let (app, chat) = ("\(test.tenant.rawValue)", "\(test.chat.rawValue)")
            let token = try #require(try await test.store.tenant(test.tenant)).token.description
            func named(_ text: String) -> String {
                let isOfAll = text.first?.isUppercase == true
                return (isOfAll ? "" : "Application \(token), id \(app): ")
                    + text.replacing("CHAT", with: chat).replacing("APP", with: app)
            }
            // One connection for all: the checks of foreign keys are its own setting.
            try await test.store.scans.withConnection { connection in
                for sql in damage.sql {
                    try connection.run(sql.replacing("CHAT", with: chat).replacing("APP", with: app))
                }
            }
            let problems = damage.problems.map(named).sorted()
            for _ in 0..<2 {
                let found = try await test.verify()
                #expect(found.problems.sorted() == problems && found.mended == [])
            }
            let mended = try await test.verify(mends: true)
            #expect(mended.problems.sorted() == (damage.isMendable ? [] : problems))
            #expect(mended.mended.sorted() == (damage.isMendable ? damage.mended?.map(named).sorted() ?? problems : []))
            let after = try await test.verify()
            #expect(after.problems.sorted() == mended.problems.sorted() && after.mended == [])
        }
    }

    @Test func aMalformedTokenIsFound() async throws {
        try await TestCluster.run { test in
            try await test.sql("UPDATE applications SET token = 'SECRET-AND-MALFORMED'")
            let name = "Application with a malformed token, id \(test.tenant.rawValue)"
            #expect(try await test.verify().problems == [name])
            #expect(try await test.verify(mends: true).problems == [name])
        }
    }

    /// A hole may be a number that is still being stored: its writer has two seconds.
    @Test func aNumberOnItsWayIsNotMissing() async throws {
        try await TestCluster.run { test in
            try await fill(test)
            try await test.insert(number: 8)
            let start = ContinuousClock.now
            let (walks, walked) = AsyncStream.makeStream(of: Void.self)
            async let mended = test.keeper.verify(mends: true) { _, _ in walked.yield() }.mended
            // The holes at 6 and 7 have been seen.
            for await _ in walks { break }
            try await test.insert(number: 6)
            let only = try await mended
            #expect(ContinuousClock.now - start >= .seconds(2))
            #expect(only.count == 1 && only[0].hasSuffix("message 7 was missing and is void now"))
            #expect(try await test.store.message(Message.Number(6), in: test.chat)?.body == "theirs")
            #expect(try await test.store.count(in: test.chat) == 7)
            #expect(try await test.verify().isClean)
        }
    }

    @Test func appendsMeanwhileAreNoDamage() async throws {
        try await TestCluster.run { test in
            try await fill(test)
            try await withThrowingTaskGroup(of: Int.self) { tasks in
                for writer in 0..<4 {
                    tasks.addTask {
                        var sent = 0
                        while !Task.isCancelled {
                            try await test.send(writer * 3 + 1, key: writer == 0 ? "\(sent) " : nil)
                            if sent.isMultiple(of: 5) {
                                _ = try await test.store.append([NewChat(tenant: test.tenant)], at: TestCluster.time)
                            }
                            sent += writer * 3 + 1
                        }
                        return sent
                    }
                }
                for round in 0..<5 {
                    let report = try await test.verify(mends: round > 2)
                    #expect(report.problems == [] && report.mended == [])
                }
                tasks.cancelAll()
                let sent = try await tasks.reduce(0, +)
                #expect(try await test.store.count(in: test.chat) == Int64(sent + 5))
            }
            #expect(try await test.verify().isClean)
        }
    }
}
