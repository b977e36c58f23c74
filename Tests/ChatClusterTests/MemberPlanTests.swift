import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// The plans of what a user sees of chats.
@Suite(.timeLimit(.minutes(2))) struct MemberPlanTests {
    /// What a user sees costs what is in the answer: not the application's other chats, the chat's members or messages.
    @Test func whatAUserSees() async throws {
        try await PlanScene.run { place in
            let (store, test) = (place.test.store, place.test)
            let (app, chat) = (test.tenant.rawValue, test.chat.rawValue)
            for statement in [
                """
                INSERT INTO chats (application_id, number, access, created_at, updated_at)
                SELECT \(app), seq, 1, NOW(6), NOW(6) FROM seq_1001_to_4000
                """,
                """
                INSERT INTO chat_members (application_id, chat_id, chat_number, user_id, role, from_number, created_at)
                SELECT \(app), \(chat), 1, CONCAT('m', seq), 2, 1, NOW(6) FROM seq_1_to_3000
                """,
                """
                INSERT INTO chat_members (application_id, chat_id, chat_number, user_id, role, from_number, created_at)
                SELECT \(app), \(chat), 1, 'own', 0, 1, NOW(6)
                """,
                """
                INSERT INTO chat_members (application_id, chat_id, chat_number, user_id, role, from_number, created_at)
                SELECT \(app), id, number, 'u1', 2, 1, NOW(6) FROM chats
                WHERE application_id = \(app) AND number IN (1, 2, 2000, 3000)
                """,
                "ANALYZE TABLE chats, chat_members",
            ] {
                try await test.sql(statement)
            }
            let user = User.ID("u1")!
            for page in [
                Page(limit: 20, after: 50), Page(limit: 20, before: 3500, order: .desc), Page(limit: 20, after: 100),
            ] {
                // 21 chats of each walk with their members' rows, and up to 50 messages to count.
                try await place.check("chats \(page)", rows: 21 * 4 + 21 * 12 + 40) {
                    let chats = try await store.chats(seenBy: user, in: test.tenant, page: page)
                    #expect(chats.items.count >= 2)
                }
            }
            try await place.check("none but its own", rows: 20) {
                let chats = try await store.chats(seenBy: user, in: test.tenant, page: Page(after: 1000))
                #expect(chats.items.map(\.chat.number.rawValue) == [2000, 3000])
            }
            try await place.check("count", rows: 30) {
                let count = try await store.messageCount(of: test.chat, in: NumberSpan(first: 101, last: 4900))
                #expect(count == 4800)
            }
            let own = User.ID("own")!
            let place_ = ChatPlace(id: test.chat, number: Chat.Number(1), tenant: test.tenant)
            try await place.check("the last owner", rows: 20) {
                let leaves = TenantChange.member(MemberChange(chat: place_, user: own, role: nil, actor: own))
                let results = try await store.apply([leaves], at: TestCluster.time)
                #expect(results == [.failure(.invalid(["The last owner must make another owner first"]))])
            }
        }
    }
}
