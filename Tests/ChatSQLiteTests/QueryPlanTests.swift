import ChatCore
import Cryptography
import GRDB
import GRDBSQLite
import TestSupport
import Testing

@testable import ChatSQLite

/// A hot statement that scans or sorts is fast in a test and slow on a database of years, so this checks its plan.
///
/// Connections keep their prepared statements while they are open, so the test reads from them what the store really
/// runs.
@Suite(.timeLimit(.minutes(2))) struct QueryPlanTests {
    @Test func everyHotStatementSearchesAnIndex() async throws {
        let test = try await TestStore()
        try await runEverything(test)
        let statements = try await statements(of: test.store)
        // All of them; a new one must be run above to be seen here.
        #expect(statements.count == 143, "\(statements.sorted().joined(separator: "\n"))")
        for table in ["applications", "chats", "messages", "idempotency_keys"] {
            #expect(statements.contains { $0.contains("FROM \(table)") }, "\(table)")
            #expect(statements.contains { $0.contains("INTO \(table)") }, "\(table)")
        }
        for sql in statements {
            let plan = try await test.store.pool.read { db in
                try Row.fetchAll(
                    db, sql: "EXPLAIN QUERY PLAN " + sql,
                    arguments: StatementArguments(Array(repeating: 1, count: sql.count { $0 == "?" }))
                )
                .map { $0["detail"] as String }
            }
            let isInsert = (sql.hasPrefix("INSERT") || sql.hasPrefix("REPLACE")) && !sql.contains("SELECT")
            #expect(plan.isEmpty == isInsert, "\(sql): \(plan)")
            let searches = [
                "SEARCH ", "LIST SUBQUERY ", "SCALAR SUBQUERY ", "CORRELATED SCALAR SUBQUERY ", "COMPOUND QUERY",
                "LEFT-MOST SUBQUERY", "UNION ALL",
            ]
            #expect(plan.allSatisfy { step in searches.contains { step.hasPrefix($0) } }, "\(sql): \(plan)")
        }
    }

    /// What counts for readers, and threads.
    private func runReads(_ test: TestStore, _ chat: Chat.ID) async throws {
        let store = test.store
        let user = User.ID("u1")!
        let place = ChatPlace(id: chat, number: Chat.Number(1), tenant: test.tenant)
        _ = try await store.mark([ReadMark(chat: place, user: user, number: 1)], within: .seconds(1))
        _ = try await store.readNumbers(of: user, in: [chat])
        _ = try await store.chatHeads(of: [chat])
        _ = try await store.tailRows(of: chat, numbers: 1...2)
        _ = try await store.inbox(of: user, in: test.tenant, limit: 2)
        _ = try await store.chats([chat])
        _ = try await store.expireVersions(by: EditRules(), at: TestStore.time, limit: 1)
        _ = try await store.threads([Message.Number(1)], in: chat)
        let reply = MessageContent(body: "x", thread: Message.Number(1))
        _ = try await store.append(
            [NewMessage(tenant: test.tenant, chat: chat, content: reply)], at: TestStore.time)
        for page in [Page(after: 1), Page(order: .desc)] {
            _ = try await store.replies(to: Message.Number(1), in: chat, page: page)
        }
    }

    /// Every method of every port that a request can reach, with every kind of cursor.
    private func runEverything(_ test: TestStore) async throws {
        let store = test.store
        let generation = SearchGeneration(
            id: .random(), state: .building, foldVersion: SearchFold.version, marker: 0)
        #expect(try await store.begin(generation))
        #expect(try await store.promote(generation.id))
        // Whatever comes from here on is not fed.
        var sweep = try await store.beginSweep(of: generation.id.reader)
        while try await store.nextChats(of: &sweep) != nil {}
        try await store.finish(sweep)
        let key = try IdempotencyKey("k", content: "x".utf8)
        let rules = RulesChange(origins: ["https://chat.example"])
        _ = try await store.apply([.update(test.tenant, name: "renamed", rules: rules)], at: TestStore.time)
        for _ in 0..<2 { _ = try await store.append([NewChat(tenant: test.tenant, key: key)], at: TestStore.time) }
        let chat = try #require(try await store.id(of: Chat.Number(1), in: test.tenant))
        let message = NewMessage(tenant: test.tenant, chat: chat, body: "x", key: key)
        for _ in 0..<2 { _ = try await store.append([message], at: TestStore.time) }
        try await test.send(["x", "y", "z"], to: chat)

        let shown = AccessKey.random(.application)
        let stored = ApplicationKey(
            id: shown.id, tenant: test.tenant, name: "k", digest: shown.digest, scopes: .read,
            createdAt: TestStore.time,
            expiresAt: nil)
        _ = try await store.apply(
            [.addKey(stored), .useKeys([shown.id: TestStore.time]), .revokeKey(shown.id, of: test.tenant)],
            at: TestStore.time)
        _ = try await store.key(shown.id)
        _ = try await store.keys(of: test.tenant)
        let user = try #require(User.ID("u1"))
        let signing = StoredTokenKey(
            key: try #require(UserTokenKey(id: .random(), .secret(.random()))), createdAt: TestStore.time)
        let changes: [UserChange] = [
            .add(user), .put(user, name: "n", metadata: "{}"), .patch(user, UserPatch(name: "m")), .block(user),
            .unblock(user), .revoke(user, upTo: TestStore.time),
            .revokeAll(upTo: TestStore.time), .addKey(signing), .endKey(signing.key.id, .revoked),
        ]
        _ = try await store.apply(
            changes.map { .users($0, of: test.tenant) } + [
                .useTokenKeys([TokenKeyAddress(tenant: test.tenant, key: signing.key.id): TestStore.time])
            ], at: TestStore.time)
        for _ in 0..<StoredTokenKey.mostKept {
            let key = StoredTokenKey(
                key: try #require(UserTokenKey(id: .random(), .secret(.random()))), createdAt: TestStore.time)
            _ = try await store.apply(
                [.users(.addKey(key), of: test.tenant), .users(.endKey(key.key.id, .revoked), of: test.tenant)],
                at: TestStore.time)
        }
        _ = try await store.user(user, in: test.tenant)
        _ = try await store.users(of: test.tenant, after: user, limit: 1)
        _ = try await store.tokenKeys(of: test.tenant)
        let late = TestStore.time.adding(.seconds(60))
        let byUser = NewMessage(
            tenant: test.tenant, chat: chat, content: MessageContent(body: "by a user"),
            author: .user(user, tokenIssuedAt: late))
        #expect(try await store.append([byUser], at: TestStore.time)[0].get().isReplay == false)
        let place = ChatPlace(id: chat, number: Chat.Number(1), tenant: test.tenant)
        for role in [Member.Role.owner, .member, .banned, nil] {
            let change = MemberChange(chat: place, user: user, role: role, actor: role == .member ? user : nil)
            _ = try await store.apply([.member(change)], at: TestStore.time)
        }
        let settings = ChatUpdate(chat: place, patch: Chat.Patch(name: "n"))
        _ = try await store.apply([.chat(settings)], at: TestStore.time)
        let (number, name) = (Message.Number(1), try #require(Reaction.Name("x")))
        var actions = (1...12).map { MessageChange.Action.react(Reaction(name, by: User.ID("r\($0)")!)) }
        actions += [.react(Reaction(name, by: try #require(User.ID("r1")), isTakenBack: true))]
        actions += [.pin(.pin(by: user)), .pin(.unpin)]
        for action in actions {
            _ = try await store.revise(
                [MessageChange(chat: place, number: number, action: action)], at: TestStore.time, within: .seconds(60))
        }
        for page in [Page(after: 1), Page(before: 9)] {
            _ = try await store.users(reacting: name, to: number, in: chat, page: page)
        }
        _ = try await store.pins(of: chat)
        _ = try await store.place(of: user, in: Chat.Number(1), of: test.tenant)
        _ = try await store.member(user, in: chat)
        _ = try await store.members(of: chat, after: user, limit: 1)
        var own = try SearchQuery(SearchText("x"))
        own.viewer = user
        _ = try await store.search(own, in: test.tenant, page: TenantSearchPage())
        _ = try await store.messageCount(of: chat, in: NumberSpan(first: 2, last: 3))
        for page in [Page(after: 1), Page(before: 9)] {
            _ = try await store.chats(of: user, in: test.tenant, page: page)
            _ = try await store.chats(seenBy: user, in: test.tenant, page: page)
            _ = try await store.chats(seenBy: user, among: [1, 2].map { Chat.Number($0) }, in: test.tenant)
        }
        let publicID = try #require(try await store.tenant(test.tenant)).publicID
        let record = AuditRecord(.updateApplication, by: nil)
        _ = try await store.apply(
            [
                .audited(.rotate(test.tenant, to: .random(), oldUntil: TestStore.time), record),
                .audited(.suspend(test.tenant), record), .audited(.resume(test.tenant), record),
            ], at: TestStore.time)
        for page in [Page(after: 1), Page(before: 9)] { _ = try await store.audit(of: publicID, page: page) }
        _ = try await store.identity(of: .publicID(publicID))
        _ = try await store.tenants(after: publicID, limit: 10)
        _ = try await store.id(of: test.token)
        _ = try await store.tenant(test.tenant)
        _ = try await store.messageCount(of: test.tenant)
        _ = try await store.chat(Chat.Number(1), in: test.tenant)
        _ = try await store.count(in: chat)
        _ = try await store.message(Message.Number(1), in: chat)
        let block = SearchBlock(
            chat: chat, span: 1...2, count: 2, oldestAt: TestStore.time, newestAt: TestStore.time, numbers: [],
            times: [2, 0], folded: Array("x\0x\0".utf8))
        #expect(try await store.store(block, at: SearchHead()))
        _ = try await store.heads(of: [chat])
        _ = try await store.coverage(of: [chat])
        let unfed = try await store.unfed(
            SearchQuery(SearchText("x")), in: test.tenant, page: TenantSearchPage(), within: UnfedLimits())
        #expect(try await store.hits(at: unfed?.hits.hits.map(\.place) ?? [], in: test.tenant).count == 2)
        #expect(try await store.tenants(of: [chat]) == [chat: test.tenant])
        _ = try await store.outlines(of: chat, after: 0, limit: 1)
        _ = try await store.block(of: chat, at: 1)
        _ = try await store.chats(below: nil, limit: 1)
        _ = try await store.search(SearchQuery(SearchText("x")), in: test.tenant, page: TenantSearchPage())
        for order in [Page.Order.asc, .desc] {
            for (after, before) in [(nil, nil), (1, nil), (nil, 3), (1, 3)] as [(Int64?, Int64?)] {
                let page = Page(limit: 2, after: after, before: before, order: order)
                _ = try await store.chats(in: test.tenant, page: page)
                _ = try await store.messages(in: chat, page: page)
                _ = try await store.search(SearchQuery(SearchText("x")), in: chat, page: page)
            }
        }
        try store.write { try SQLiteStore.dropBlock(covering: 1, of: chat, $0) }
        _ = try await store.dropBlocks(of: chat)
        try await runReads(test, chat)
    }

    /// The statements that the store's connections have prepared, GRDB's own left out.
    private func statements(of store: SQLiteStore) async throws -> Set<String> {
        var all = try store.readers.read { Self.prepared(on: $0.connection) }
        all.formUnion(
            try await store.pool.writeWithoutTransaction { Self.prepared(on: try #require($0.sqliteConnection)) })
        all.formUnion(try await store.scans.read { Self.prepared(on: try #require($0.sqliteConnection)) })
        return all.filter { sql in
            ["SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE"].contains { sql.hasPrefix($0) }
        }
    }

    private static func prepared(on connection: OpaquePointer) -> Set<String> {
        var found: Set<String> = []
        var statement = sqlite3_next_stmt(connection, nil)
        while let current = statement {
            if let sql = sqlite3_sql(current) { found.insert(String(cString: sql)) }
            statement = sqlite3_next_stmt(connection, current)
        }
        return found
    }
}
