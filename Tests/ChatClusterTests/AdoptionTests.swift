import ChatCore
import MySQLClient
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// The Rails application's database, taken over in place.
@Suite(.timeLimit(.minutes(2))) struct AdoptionTests {
    private typealias Rails = RailsDatabase

    /// Runs `body` on an adopted database. The store's own tenant and chat come on top of Rails' rows.
    private func adopt(_ body: (TestCluster) async throws -> Void) async throws {
        let configuration = try await TestCluster.configuration()
        try await Rails.make(configuration)
        try await TestCluster.run(configuration, body)
    }

    private func send(_ count: Int, to chat: Rails.Chat, _ test: TestCluster) async throws -> [Int64] {
        let new = NewMessage(tenant: Tenant.ID(chat.application), chat: Chat.ID(chat.id), body: "new")
        let results = try await test.store.append(Array(repeating: new, count: count), at: TestCluster.time)
        return try results.map { try $0.get().number.rawValue }
    }

    @Test func rowsAreUntouched() async throws {
        let configuration = try await TestCluster.configuration()
        try await Rails.make(configuration)
        let before = try await Rails.contents(configuration)
        #expect(before.map(\.count) == [3, 5, 13, 1])
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        #expect(try await keeper.status().applied == Rails.versions)
        #expect(try await keeper.migrate() == Migration.all.map(\.version).filter { !Rails.versions.contains($0) })
        #expect(try await Rails.contents(configuration) == before)
        #expect(try await keeper.migrate() == [])
        let status = try await keeper.status()
        #expect(status.applications == 3 && status.chats == 5 && status.messages == 13)
        // Counted where they are dense, and left to be counted where not.
        let counted = "SELECT counted_number FROM chats ORDER BY id"
        #expect(try await TestDatabase.integers(configuration, counted) == [0, 5, 3, 0, 1])
    }

    @Test func countersAreDroppedAndNumbersGoOn() async throws {
        let configuration = try await TestCluster.configuration()
        try await Rails.make(configuration)
        try await configuration.withRedis(logger: TestCluster.logger) { redis in
            _ = try await redis.send(RedisCommand("SET", "unrelated", "1"))
            _ = try await redis.send(RedisCommand("SET", "chat:11:messages_count", "4"))
            #expect(try await redis.send(RedisCommand("DBSIZE")).integer == 6)
            _ = try await MySQLKeeper(configuration, logger: TestCluster.logger).migrate()
            let keys = try await redis.send(RedisCommand("KEYS", "*")).array?.compactMap(\.string).sorted()
            #expect(keys == ["chat:11:messages_count", "unrelated"])
        }
        try await TestCluster.run(configuration) { test in
            for chat in Rails.chats {
                #expect(try await send(2, to: chat, test) == [chat.next, chat.next + 1])
                #expect(try await send(1, to: chat, test) == [chat.next + 2])
                #expect(try await test.store.count(in: Chat.ID(chat.id)) == Int64(chat.messages.count + 3))
            }
            for (application, last) in [(1, 5), (2, 1), (3, 0)] as [(Int64, Int64)] {
                let batch = [NewChat(tenant: Tenant.ID(application)), NewChat(tenant: Tenant.ID(application))]
                let numbers = try await test.store.append(batch, at: TestCluster.time).map { try $0.get().number }
                #expect(numbers.map(\.rawValue) == [last + 1, last + 2])
            }
            #expect(try await test.store.tenant(Tenant.ID(1))?.chatsCount == 6)
            #expect(try await test.store.messageCount(of: Tenant.ID(1)) == 24)
        }
    }

    @Test func whatIsThereIsRead() async throws {
        try await adopt { test in
            let token = try #require(Tenant.Token(Rails.tokens[0]))
            let tenant = try #require(try await test.store.id(of: token))
            #expect(tenant.rawValue == 1)
            let details = try #require(try await test.store.tenant(tenant))
            #expect(details.name == "Ünï 😀 0" && details.chatsCount == 4 && details.messagesCount == 12)
            #expect(try await test.store.messageCount(of: Tenant.ID(3)) == 0)
            let chats = try await test.store.chats(in: tenant, page: Page())
            #expect(chats.items.map(\.number.rawValue) == [1, 2, 4, 5])
            #expect(chats.items.map(\.messagesCount) == [4, 5, 3, 0])
            let chat = try #require(try await test.store.id(of: Chat.Number(1), in: tenant))
            #expect(chat.rawValue == 11)
            #expect(try await test.store.count(in: chat) == 4)
            let page = try await test.store.messages(in: chat, page: Page(limit: 2, after: 2))
            #expect(page.items.map(\.number.rawValue) == [4, 7] && page.hasPrevious && !page.hasNext)
            #expect(try await test.store.message(Message.Number(4), in: chat)?.body == "öld 😀 4")
            #expect(try await test.store.message(Message.Number(3), in: chat) == nil)
            let found = try await test.store.search(SearchQuery(SearchText("ÖLD 😀 7")), in: chat, page: Page())
            #expect(found.items.map(\.number.rawValue) == [7])
        }
    }

    @Test func theGapsThatRailsLeftAreMended() async throws {
        try await adopt { test in
            let name = "Application aaaaaa…, id 1: "
            let found = try await test.verify()
            #expect(found.problems.sorted() == Rails.missing.map { name + $0 + " is missing" }.sorted())
            let mended = try await test.verify(mends: true)
            #expect(mended.isClean)
            #expect(mended.mended.sorted() == Rails.missing.map { name + $0 + " was missing and is void now" }.sorted())
            let after = try await test.verify()
            #expect(after.isClean && after.mended == [])
            #expect(after.applications == 4 && after.chats == 6 && after.messages == 13)
            let chat = Rails.chats[0]
            #expect(try await test.store.count(in: Chat.ID(chat.id)) == 4)
            let page = try await test.store.messages(in: Chat.ID(chat.id), page: Page())
            #expect(page.items.map(\.number.rawValue) == chat.messages)
            #expect(try await test.store.chats(in: Tenant.ID(1), page: Page()).items.count == 4)
            #expect(try await send(1, to: chat, test) == [8])
        }
    }

    /// The answers of a Rails application that was started before the migration: it selects all columns and renders
    /// them all. A UNION takes only rows of equal width.
    @Test(arguments: [
        ("messages", 6, "`messages`.`chat_id` = 11 AND (body LIKE '%ld%') ORDER BY `messages`.`number` ASC"),
        ("messages", 6, "`messages`.`chat_id` = 11 AND `messages`.`number` = 2 LIMIT 1"),
        ("chats", 6, "`chats`.`application_id` = 1 ORDER BY `chats`.`number` ASC"),
        ("chats", 6, "`chats`.`application_id` = 1 AND `chats`.`number` = 1 LIMIT 1"),
    ])
    func railsSelectsItsOwnColumnsOnly(_ table: String, _ width: Int, _ condition: String) async throws {
        try await adopt { test in
            let select = "SELECT `\(table)`.* FROM `\(table)` WHERE \(condition)"
            let nothing = (1...width).map { _ in "0" }.joined(separator: ", ")
            let rows = try await test.sql("SELECT * FROM (\(select)) AS theirs UNION ALL SELECT \(nothing)")
            #expect(rows.count > 1)
            let named = try await test.sql("SELECT COUNT(batch_id) FROM \(table)")
            #expect(named[0][0] > 0)
        }
    }

    /// The statements as ActiveRecord makes them, after the migration and between our own.
    @Test func railsGoesOnBesideIt() async throws {
        try await adopt { test in
            let chat = Rails.chats[0]
            #expect(try await send(1, to: chat, test) == [8])
            let next = "SELECT MAX(`messages`.`number`) FROM `messages` WHERE `messages`.`chat_id` = 11"
            #expect(try await test.sql(next) == [[8]])
            try await test.sql(Rails.insertMessage(chat.id, 9, "theirs"))
            #expect(try await send(2, to: chat, test) == [10, 11])
            #expect(try await test.store.message(Message.Number(9), in: Chat.ID(chat.id))?.body == "theirs")
            #expect(try await test.store.count(in: Chat.ID(chat.id)) == 8)
            let list =
                "SELECT `messages`.`number` FROM `messages` WHERE `messages`.`chat_id` = 11 ORDER BY `messages`.`number` ASC"
            #expect(try await test.sql(list).map { $0[0] } == [1, 2, 4, 7, 8, 9, 10, 11])

            try await test.sql(
                """
                INSERT INTO `chats` (`application_id`, `number`, `messages_count`, `created_at`, `updated_at`)
                VALUES (3, 1, 0, \(Rails.time(3)), \(Rails.time(3)))
                """)
            try await test.sql(
                """
                INSERT INTO `applications` (`name`, `token`, `chats_count`, `created_at`, `updated_at`)
                VALUES ('theirs', '\(String(repeating: "d", count: 32))', 0, \(Rails.time(3)), \(Rails.time(3)))
                """)
            let batch = [NewChat(tenant: Tenant.ID(3))]
            #expect(try await test.store.append(batch, at: TestCluster.time)[0].get().number.rawValue == 2)
            let exists = "SELECT 1 AS one FROM `applications` WHERE `applications`.`token` = BINARY 'none' LIMIT 1"
            #expect(try await test.sql(exists) == [])
            try await test.sql(
                """
                UPDATE `chats` SET `chats`.`messages_count` = 8, `chats`.`updated_at` = \(Rails.time(4))
                WHERE `chats`.`id` = 11
                """)
            try await test.sql(
                "UPDATE `applications` SET `applications`.`chats_count` = 2 WHERE `applications`.`id` = 3")
            #expect(try await test.sql("SELECT `chats`.* FROM `chats` WHERE `chats`.`id` = 11 LIMIT 1") == [[11]])

            // Rails does not know our counts: its rows are added to them by the next mending.
            let problems = try await test.verify().problems.filter { $0.contains("count") }
            #expect(problems.count == 2)
            #expect(try await test.verify(mends: true).isClean)
            #expect(try await test.store.tenant(Tenant.ID(1))?.messagesCount == 16)
            #expect(try await test.store.tenant(Tenant.ID(3))?.chatsCount == 2)
            #expect(try await test.verify().isClean)
        }
    }

    /// The counters are dropped before anything is changed: without that, nothing is.
    @Test func withoutRedisNothingIsChanged() async throws {
        let configuration = try await TestCluster.configuration(redis: TestDatabase.deadRedis)
        try await Rails.make(configuration)
        let tables = try await TestDatabase.tables(configuration)
        let before = try await Rails.contents(configuration)
        let keeper = MySQLKeeper(configuration, logger: TestCluster.logger)
        for _ in 0..<2 {
            let problem = await #expect(throws: StoreProblem.self) { try await keeper.migrate() }
            #expect(problem?.description.contains("Redis") == true)
            #expect(problem?.description.contains("Nothing was changed") == true)
        }
        #expect(try await keeper.status().applied == Rails.versions)
        #expect(try await TestDatabase.tables(configuration) == tables)
        #expect(try await Rails.contents(configuration) == before)
        let columns = """
            SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'messages'
            """
        #expect(try await TestDatabase.integers(configuration, columns) == [6])
    }
}
