import ChatCore
import Foundation
import GRDB
import TestSupport
import Testing

@testable import ChatSQLite

/// A store on a temporary file, with a tenant.
struct TestStore {
    let folder: TemporaryFolder
    let store: SQLiteStore
    let file: SQLiteFile
    /// By which keys age.
    let clock = TestClock()
    let tenant: Tenant.ID
    let token: Tenant.Token

    var path: String { folder.file("test.sqlite") }

    static let time = Timestamp(microseconds: 1_763_830_664_194_123)

    init() async throws {
        folder = try TemporaryFolder()
        var (store, file) = try SQLiteStore.openExclusively(path: folder.file("test.sqlite"))
        store.searchDeadline = .seconds(60)  // A slow machine may take long.
        store.keyClock = KeyClock(Timekeeper(clock))
        (self.store, self.file) = (store, file)
        token = Tenant.Token.random()
        _ = try await store.apply([.create(name: "test", token: token)], at: Self.time)
        tenant = try #require(try await store.id(of: token))
    }

    func makeChat() async throws -> Chat.ID {
        try #require(await store.append([NewChat(tenant: tenant)], at: Self.time)[0].get().id)
    }

    @discardableResult
    func send(_ bodies: [String], to chat: Chat.ID, at time: Timestamp = time) async throws -> [Int64] {
        let batch = bodies.map { NewMessage(tenant: tenant, chat: chat, body: $0) }
        return try await store.append(batch, at: time).map { try $0.get().number.rawValue }
    }
}

@Suite(.timeLimit(.minutes(2))) struct SQLiteStoreTests {
    @Test func everyCommitIsFlushed() async throws {
        let test = try await TestStore()
        @Sendable func settings(_ db: Database) throws -> String {
            let synchronous = try Int.fetchOne(db, sql: "PRAGMA synchronous")
            return "\(synchronous ?? -1) \(try String.fetchOne(db, sql: "PRAGMA journal_mode") ?? "")"
        }
        #expect(try await test.store.pool.write(settings) == "2 wal")
        // But for what can be made again; whether that is stored or fails, the next one is flushed.
        #expect(try test.store.write(isFlushed: false, settings) == "1 wal")
        #expect(try await test.store.pool.write(settings) == "2 wal")
        struct Failure: Error {}
        #expect(throws: ChatError.self) { try test.store.write(isFlushed: false) { _ in throw Failure() } }
        #expect(try test.store.write(settings) == "2 wal")
    }

    @Test func oneBatchOverManyChats() async throws {
        let test = try await TestStore()
        let chats = [try await test.makeChat(), try await test.makeChat()]
        let batch = (0..<10).map { NewMessage(tenant: test.tenant, chat: chats[$0 % 2], body: "m\($0)") }
        let numbers = try await test.store.append(batch, at: TestStore.time).map { try $0.get().number.rawValue }
        #expect(numbers == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
        #expect(try await test.store.count(in: chats[0]) == 5)
        #expect(try await test.store.messageCount(of: test.tenant) == 10)
        let message = try await test.store.message(Message.Number(3), in: chats[1])
        #expect(message == Message(number: Message.Number(3), body: "m5", createdAt: TestStore.time))
    }

    @Test func aChatThatIsGoneFailsAlone() async throws {
        let test = try await TestStore()
        let chat = try await test.makeChat()
        let results = try await test.store.append(
            [
                NewMessage(tenant: test.tenant, chat: Chat.ID(99), body: "lost"),
                NewMessage(tenant: test.tenant, chat: chat, body: "kept"),
            ], at: TestStore.time)
        #expect(results[0] == .failure(.notFound))
        #expect(try results[1].get().number == Message.Number(1))
        #expect(try await test.store.messageCount(of: test.tenant) == 1)
    }

    @Test func aBatchThatFailsLeavesNothing() async throws {
        let test = try await TestStore()
        let chat = try await test.makeChat()
        try await test.store.pool.write { db in
            try db.execute(
                sql: """
                    CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.body = 'bad'
                    BEGIN SELECT RAISE(ABORT, 'no'); END
                    """)
        }
        await #expect(throws: ChatError.self) { try await test.send(["good", "bad"], to: chat) }
        #expect(try await test.store.count(in: chat) == 0)
        #expect(try await test.store.messageCount(of: test.tenant) == 0)
        #expect(try await test.send(["good"], to: chat) == [1])
        #expect(try await test.store.verify { _, _ in }.isClean)
    }

    @Test func aKeyLivesForAWeek() async throws {
        let test = try await TestStore()
        let chat = try await test.makeChat()
        let key = try IdempotencyKey("k", content: "x".utf8)
        func send(_ time: Timestamp) async throws -> AppendedMessage {
            try await test.store.append(
                [NewMessage(tenant: test.tenant, chat: chat, body: "x", key: key)], at: time)[0].get()
        }
        let first = try await send(TestStore.time)
        test.clock.advance(by: .seconds(7 * 24 * 3600 - 1))
        // The system's clock makes no difference.
        #expect(
            try await send(TestStore.time.adding(.seconds(365 * 24 * 3600)))
                == AppendedMessage(number: first.number, createdAt: first.createdAt, isReplay: true))
        test.clock.advance(by: .seconds(1))
        let after = try await send(TestStore.time)
        #expect(after.number == Message.Number(2) && !after.isReplay)
        #expect(try await test.store.verify { _, _ in }.isClean)
    }

    @Test func keysOutliveARestartWithAWrongClock() async throws {
        var test: TestStore! = try await TestStore()
        let chat = try await test.makeChat()
        let (folder, tenant) = (test.folder, test.tenant)
        let message = NewMessage(
            tenant: tenant, chat: chat, body: "x", key: try IdempotencyKey("k", content: "x".utf8))
        _ = try await test.store.append([message], at: TestStore.time)
        test.clock.advance(by: .seconds(24 * 3600))
        try test.store.close()
        test = nil
        for days in [-1000, 1000, 0] as [Int64] {
            let (store, file) = try SQLiteStore.openExclusively(path: folder.file("test.sqlite"))
            let now = TestStore.time.adding(.seconds(days * 24 * 3600))
            let other = NewMessage(
                tenant: tenant, chat: chat, body: "y", key: try IdempotencyKey("\(days)", content: "y".utf8))
            #expect(try await store.append([other, message], at: now)[1].get().isReplay)
            try store.close()
            withExtendedLifetime(file) {}
        }
    }

    @Test func oldKeysGoAsNewOnesCome() async throws {
        let test = try await TestStore()
        let chat = try await test.makeChat()
        func send(_ names: [String]) async throws {
            let batch = try names.map { name in
                NewMessage(
                    tenant: test.tenant, chat: chat, body: name, key: try IdempotencyKey(name, content: name.utf8))
            }
            _ = try await test.store.append(batch, at: TestStore.time)
        }
        try await send((0..<100).map { "old\($0)" })
        test.clock.advance(by: .seconds(8 * 24 * 3600))
        for round in 0..<50 { try await send(["new\(round)"]) }
        let left = try await test.store.pool.read { db in
            try Int.fetchOne(db, sql: "SELECT count(*) FROM idempotency_keys WHERE key LIKE 'old%'")
        }
        #expect(left == 0)
    }

    @Test func aLargePageIsCutButGoesOn() async throws {
        let test = try await TestStore()
        let chat = try await test.makeChat()
        let body = String(repeating: "x", count: 65_000)
        for _ in 0..<10 { try await test.send(Array(repeating: body, count: 20), to: chat) }
        var seen: [Int64] = []
        var pages = 0
        var page = Page(limit: 1000)
        while true {
            let slice = try await test.store.messages(in: chat, page: page)
            #expect(slice.items.map { $0.body.utf8.count }.reduce(0, +) <= 1 << 20)
            seen += slice.items.map(\.number.rawValue)
            pages += 1
            guard slice.hasNext else { break }
            page.after = seen.last
        }
        #expect(seen == Array(1...200))
        #expect(pages > 3)
    }

    @Test func aSearchOfAMissingWordEndsAndFindsNothing() async throws {
        let test = try await TestStore()
        let chat = try await test.makeChat()
        try await test.send((0..<5000).map { "message \($0)" }, to: chat)
        let none = try await test.store.search(SearchQuery(SearchText("xylophone")), in: chat, page: Page())
        #expect(none.items.isEmpty && !none.hasNext)
        let few = try await test.store.search(SearchQuery(SearchText("499")), in: chat, page: Page(limit: 3))
        #expect(few.items.map(\.number.rawValue) == [500, 1500, 2500] && few.hasNext)
        let back = try await test.store.search(
            SearchQuery(SearchText("499")), in: chat, page: Page(limit: 2, before: 2500))
        #expect(back.items.map(\.number.rawValue) == [500, 1500] && back.hasNext && !back.hasPrevious)
    }
}

@Suite(.timeLimit(.minutes(2))) struct VerifyTests {
    /// Breaks the store in one way and returns what verify says of it.
    private func problems(after sql: String) async throws -> [String] {
        let test = try await TestStore()
        for _ in 0..<2 {
            let chat = try await test.makeChat()
            try await test.send(["a", "b", "c", "d"], to: chat)
        }
        let key = try IdempotencyKey("k", content: "x".utf8)
        let keyed = NewMessage(tenant: test.tenant, chat: Chat.ID(1), body: "x", key: key)
        _ = try await test.store.append([keyed], at: TestStore.time)
        #expect(try await test.store.verify { _, _ in }.isClean)
        try await test.store.pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA foreign_keys = OFF")
            try db.execute(sql: sql)
        }
        let report = try await test.store.verify { _, _ in }
        #expect(report.problemCount == Int64(report.problems.count))
        return report.problems
    }

    @Test(arguments: [
        ("DELETE FROM messages WHERE chat_id = 2 AND number = 2", "message 2 is missing"),
        ("DELETE FROM messages WHERE chat_id = 2 AND number IN (2, 3)", "messages 2 to 3 are missing"),
        ("DELETE FROM messages WHERE chat_id = 2 AND number = 4", "last_message_number is 4, but the rows say 3"),
        ("UPDATE messages SET number = 0 WHERE chat_id = 2 AND number = 1", "message 0 is below 1"),
        ("UPDATE messages SET chat_id = 77 WHERE chat_id = 2", "Message 4 belongs to no chat"),
        ("UPDATE chats SET messages_count = 9 WHERE id = 2", "messages_count is 9, but the rows say 4"),
        ("UPDATE chats SET application_id = 77 WHERE id = 2", "Chat 2 belongs to no application"),
        ("DELETE FROM chats WHERE id = 1", "chat 1 is missing"),
        ("UPDATE applications SET chats_count = 5", "chats_count is 5, but the rows say 2"),
        ("UPDATE applications SET last_chat_number = 1", "last_chat_number is 1, but the rows say 2"),
        ("UPDATE applications SET messages_count = 8", "messages_count is 8, but the rows say 9"),
        ("UPDATE applications SET token = 'short'", "malformed token"),
        ("UPDATE idempotency_keys SET number = 99", "Idempotency key of chat id 1: number 99 is missing"),
    ])
    func finds(_ sql: String, _ problem: String) async throws {
        let problems = try await problems(after: sql)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}

@Suite(.timeLimit(.minutes(2))) struct SQLiteSchemaTests {
    @Test func migratingTwiceDoesItOnce() async throws {
        let test = try await TestStore()
        try test.store.migrate()
        let status = try await test.store.status()
        #expect(status.applied == SQLiteMigrations.migrator.migrations)
        #expect(status.pending == [])
        #expect(status.applications == 1)
    }

    @Test func aNewerDatabaseIsLeftAlone() async throws {
        let test = try await TestStore()
        try await test.store.pool.write { db in
            try db.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('9999-future')")
        }
        let error = #expect(throws: StoreProblem.self) { try test.store.migrate() }
        #expect(error?.description.contains("newer luciq") == true)
    }

    @Test func whatWasWrittenIsThereAfterReopening() async throws {
        let test = try await TestStore()
        let chat = try await test.makeChat()
        try await test.send(["a", "b"], to: chat)
        _ = try await test.store.search(SearchQuery(SearchText("a")), in: chat, page: Page())
        try test.store.close()
        // A clean close checkpoints the log into the file.
        #expect((try? Data(contentsOf: URL(fileURLWithPath: test.path + "-wal")))?.isEmpty != false)
        let again = try SQLiteStore(path: test.path, file: nil)
        #expect(try await again.messages(in: chat, page: Page()).items.map(\.body) == ["a", "b"])
        try again.close()
    }
}
