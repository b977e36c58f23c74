import ChatCore
import Testing

@testable import ChatCluster

/// A key's time is the later of the database's clock and the process', and its age is computed with the earlier.
@Suite(.timeLimit(.minutes(2))) struct KeyAgeTests {
    @Test func aKeyIsForgottenAfterAWeek() async throws {
        try await TestCluster.run { test in
            let now = WallClock.system.now()
            func send() async throws -> AppendedMessage {
                let key = try IdempotencyKey("k", content: "hi".utf8)
                let message = NewMessage(tenant: test.tenant, chat: test.chat, body: "hi", key: key)
                return try await test.store.append([message], at: now)[0].get()
            }
            func age(_ seconds: Int) async throws {
                try await test.sql(
                    "UPDATE idempotency_keys SET created_at = UTC_TIMESTAMP(6) - INTERVAL \(seconds) SECOND")
            }
            let first = try await send()
            let lifetime = 7 * 24 * 3600
            try await age(lifetime - 60)
            #expect(try await send() == AppendedMessage(number: first.number, createdAt: now, isReplay: true))
            try await age(lifetime + 60)
            let again = try await send()
            #expect(again.number == Message.Number(2) && !again.isReplay)
            #expect(try await send().number == Message.Number(2))
        }
    }
}
