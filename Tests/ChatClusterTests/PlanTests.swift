import Foundation
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// The query plans of the store's real statements, on a database with many rows: every one uses an index and reads no
/// more rows than the answer has.
@Suite(.timeLimit(.minutes(3))) struct PlanTests {
    /// The chat that most rows are in: where an optimizer is tempted to walk it from one end.
    private static let large: Int64 = 5000
    private static let chats: Int64 = 60

    private struct Place: Sendable {
        let test: TestCluster
        let log: StatementLog

        /// - Parameters:
        ///   - rows: how many rows and index entries the server may look at.
        ///   - temporary: the table of which the server may make a temporary one.
        func check(
            _ what: String, rows: Int64, temporary: String? = nil, _ body: () async throws -> Void
        ) async throws {
            // Once before: statements are prepared, and connections made.
            try await body()
            let cost = try await log.during(body)
            #expect(!cost.statements.isEmpty, "\(what)")
            #expect(cost.rowsRead <= rows, "\(what): \(cost.statements.map(\.text))")
            for statement in cost.statements {
                for step in statement.plan {
                    // The derived table has been read by then: one row.
                    let isDerived = step.table.hasPrefix("<")
                    let isLookUp = ["const", "eq_ref", "ref", "range"].contains(step.access) && step.key != "NULL"
                    let isNone = step.extra.hasPrefix("Impossible") || step.extra.contains("No tables used")
                    #expect(isLookUp || isDerived || isNone, "\(what): \(step)\n\(statement.text)")
                    for word in ["filesort", "temporary", "join buffer", "checked for each record"]
                    where word != "temporary" || step.table != temporary {
                        #expect(!step.extra.contains(word), "\(what): \(step)\n\(statement.text)")
                    }
                }
            }
        }
    }

    /// What the store holds of these numbers, as a block.
    private func storeBlock(of chat: Chat.ID, _ numbers: ClosedRange<Int64>, _ test: TestCluster) async throws {
        var builder = SearchBlockBuilder(chat, after: numbers.lowerBound - 1)
        let limit = StreamLimits.Size(messages: numbers.count, bytes: 1 << 20)
        for entry in try await test.store.entries(in: chat, after: numbers.lowerBound - 1, limit: limit) {
            _ = builder.append(entry)
        }
        let head = try await test.store.heads(of: [chat])[chat] ?? SearchHead()
        let block = try #require(builder.block())
        #expect(try await test.store.store(block, at: head))
    }

    /// Runs `body` on a server of its own whose tables are full.
    ///
    /// - Parameter rails: whether they have Rails' other indexes as well.
    private func run(rails: Bool = false, _ body: (Place) async throws -> Void) async throws {
        let server = try await MariaDBServer.start(StatementLog.options)
        let configuration = try await TestCluster.configuration(mysql: server.url())
        try await TestCluster.run(configuration) { test in
            let (app, chat) = (test.tenant.rawValue, test.chat.rawValue)
            var statements = [
                """
                INSERT INTO applications (name, token, created_at, updated_at)
                SELECT 'n', LPAD(seq, 32, '0'), NOW(6), NOW(6) FROM seq_1_to_20
                """,
                """
                INSERT INTO chats (application_id, number, created_at, updated_at)
                SELECT id, seq, NOW(6), NOW(6) FROM applications, seq_1_to_\(Self.chats) WHERE id <> \(app) OR seq > 1
                """,
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                SELECT \(chat), seq, CONCAT('body ', seq), NOW(6), NOW(6) FROM seq_1_to_\(Self.large)
                """,
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                SELECT id, seq, 'body', NOW(6), NOW(6) FROM chats, seq_1_to_50
                WHERE application_id = \(app) AND id <> \(chat)
                """,
                "UPDATE chats SET counted_number = 45 WHERE application_id = \(app)",
                "UPDATE chats SET counted_number = \(Self.large - 10) WHERE id = \(chat)",
                "DELETE FROM application_counts",
                "INSERT INTO application_counts SELECT id, seq, 1, 5 FROM applications, seq_0_to_63",
                """
                INSERT INTO idempotency_keys
                SELECT 1, \(chat), CONCAT('k', seq), REPEAT('x', 32), seq, NOW(6) FROM seq_1_to_3000
                """,
            ]
            if rails {
                statements += [
                    "CREATE INDEX index_chats_on_application_id ON chats (application_id)",
                    "CREATE INDEX index_messages_on_chat_id ON messages (chat_id)",
                ]
            }
            statements.append("ANALYZE TABLE applications, chats, messages, application_counts, idempotency_keys")
            for statement in statements { try await test.sql(statement) }
            try await body(Place(test: test, log: StatementLog(server: server, database: "luciq")))
        }
    }

    private static let pages = [
        Page(), Page(order: .desc), Page(after: 100), Page(after: 2000), Page(after: 4900), Page(after: large),
        Page(before: 100), Page(before: 2000), Page(before: 4900), Page(before: 3000, order: .desc),
        Page(after: 2000, order: .desc), Page(after: 1000, before: 4000), Page(after: 1000, before: 4000, order: .desc),
    ]

    @Test(arguments: [false, true])
    func pages(_ rails: Bool) async throws {
        try await run(rails: rails) { place in
            let (store, test) = (place.test.store, place.test)
            for page in Self.pages {
                // 101 rows, each counted once where the index is asked about it and once where it is read; and one behind.
                try await place.check("messages \(page)", rows: 210) {
                    _ = try await store.messages(in: test.chat, page: page)
                }
            }
            for (limit, rows) in [(1, 8), (10, 26), (1000, 2010)] as [(Int, Int64)] {
                try await place.check("messages, \(limit)", rows: rows) {
                    _ = try await store.messages(in: test.chat, page: Page(limit: limit, after: 2500))
                }
            }
            for page in [Page(limit: 20), Page(limit: 20, after: 30), Page(limit: 20, before: 30, order: .desc)] {
                // 21 chats with 5 or 10 messages each to count.
                try await place.check("chats \(page)", rows: 21 * 2 + 21 * 6 + 20) {
                    _ = try await store.chats(in: test.tenant, page: page)
                }
            }
            let user = User.ID("u1")!
            try await place.check("chats of a token", rows: 4 * 2 + 4 * 12 + 20) {
                let numbers = [3, 17, 40, 59].map { Chat.Number($0) }
                let found = try await store.chats(seenBy: user, among: numbers, in: test.tenant)
                #expect(found.map(\.chat.number) == numbers)
            }
            // One part of a walk there and one behind it, however long the chat.
            try await place.check("search", rows: 4 * 1024 + 8) {
                let found = try await store.search(
                    SearchQuery(SearchText("body 2")), in: test.chat, page: Page(limit: 50, after: 1999))
                #expect(found.items.map(\.number.rawValue) == Array(2000..<2050) && found.hasPrevious && found.hasNext)
            }
            let found = try await store.search(
                SearchQuery(SearchText("body 2")), in: test.chat, page: Page(limit: 1000, after: 50))
            #expect(found.items.count == 1000 && found.items.last?.number.rawValue == 2899)
        }
    }

    @Test(arguments: [false, true])
    func lookUps(_ rails: Bool) async throws {
        try await run(rails: rails) { place in
            let (store, test) = (place.test.store, place.test)
            for number in [1, 2500, Self.large, Self.large + 1] {
                try await place.check("message \(number)", rows: 1) {
                    _ = try await store.message(Message.Number(number), in: test.chat)
                }
                try await place.check("settle \(number)", rows: number > Self.large ? 8 : 2) {
                    // The first call has voided the numbers above.
                    try await store.settle(number...number, in: test.chat)
                }
            }
            try await place.check("count", rows: 15) { _ = try await store.count(in: test.chat) }
            try await place.check("chat", rows: 15) { _ = try await store.chat(Chat.Number(1), in: test.tenant) }
            try await place.check("chat's id", rows: 1) { _ = try await store.id(of: Chat.Number(7), in: test.tenant) }
            let token = try #require(try await store.tenant(test.tenant)).token
            try await place.check("tenant's id", rows: 1) { _ = try await store.id(of: token) }
            try await place.check("tenant", rows: 70) { _ = try await store.tenant(test.tenant) }
            try await place.check("tenant's count", rows: 70) { _ = try await store.messageCount(of: test.tenant) }
            try await place.check("highest", rows: 10) {
                let owners = [test.chat.rawValue, test.chat.rawValue + 1, test.chat.rawValue + 2]
                let highest = try await store.messageLog.highestNumbers(of: owners, within: .seconds(5))
                #expect(highest[test.chat.rawValue] == Self.large + 1)
            }
            try await place.check("last numbers", rows: 10) {
                let chats = (0..<3).map { Chat.ID(test.chat.rawValue + $0) }
                let last = try await store.lastNumbers(of: chats)
                #expect(last[test.chat] == Self.large + 1)
            }
            try await place.check("tail", rows: 2 * LogTail.depth + 10) {
                let tail = try await store.tail(of: test.chat)
                #expect(tail == LogTail(upTo: Self.large + 1))
            }
            for after in [0, 2500, Self.large - 100] {
                try await place.check("entries after \(after)", rows: 202) {
                    let entries = try await store.entries(
                        in: test.chat, after: after, limit: .init(messages: 100, bytes: 1 << 20))
                    #expect(entries.count == 100)
                }
            }
            try await place.check("settle a range", rows: 202) {
                try await store.settle(2000...2099, in: test.chat)
            }
            try await place.check("highest chats", rows: 4) {
                let highest = try await store.chatLog.highestNumbers(of: [test.tenant.rawValue], within: .seconds(5))
                #expect(highest[test.tenant.rawValue] == Self.chats)
            }
            let places = (1...200).map { OwnedNumber(owner: test.chat.rawValue, number: $0 * 30) }
            try await place.check("batches", rows: 400) {
                let found = try await store.messageLog.pool.withConnection { connection in
                    try store.messageLog.batches(at: places, connection)
                }
                #expect(found.count == Int(Self.large / 30))
            }
            try await place.check("keys", rows: 40) {
                let keys = (0..<20).map { IdempotencyTable.Place(owner: test.chat.rawValue, key: "k\($0 * 100)") }
                let table = IdempotencyTable(scope: .chat, now: TestCluster.time)
                let traces = try await store.reads.withConnection { try table.traces(of: keys, $0) }
                #expect(traces.count == 19)
            }
        }
    }

    @Test(arguments: [false, true])
    func writes(_ rails: Bool) async throws {
        try await run(rails: rails) { place in
            let (store, test) = (place.test.store, place.test)
            // An insert reads nothing but its chat (for the foreign key, uncounted) and its stripe.
            try await place.check("append", rows: 8) { try await test.send(1) }
            try await place.check("append many", rows: 40) { try await test.send(200) }
            _ = try await test.redis("DEL", test.numberKey)
            try await place.check("append with keys", rows: 60) { try await test.send(20, key: UUID().uuidString) }
            try await place.check("append after a lost key", rows: 12) {
                _ = try await test.redis("DEL", test.numberKey)
                try await test.send(1)
            }
            try await place.check("append to a counter behind", rows: 30) {
                _ = try await test.redis("SET", test.numberKey, "7")
                try await test.send(3)
            }
            try await place.check("append without Redis", rows: 12) {
                _ = try await test.redis("SET", test.numberKey, "none")
                try await test.send(1)
            }
            try await place.check("chat", rows: 8) {
                _ = try await store.append([NewChat(tenant: test.tenant)], at: TestCluster.time)
            }
            try await place.check("rename", rows: 4) {
                _ = try await store.apply([.update(test.tenant, name: UUID().uuidString)], at: TestCluster.time)
            }
            func newKey() -> ApplicationKey {
                let shown = AccessKey.random(.application)
                return ApplicationKey(
                    id: shown.id, tenant: test.tenant, name: "k", digest: shown.digest, scopes: .read,
                    createdAt: TestCluster.time, expiresAt: nil)
            }
            try await place.check("add a key", rows: 12) {
                _ = try await store.apply([.addKey(newKey())], at: TestCluster.time)
            }
            let key = newKey()
            _ = try await store.apply([.addKey(key)], at: TestCluster.time)
            // Many others'.
            try await test.sql(
                """
                INSERT INTO application_keys (id, application_id, name, digest, scopes, created_at)
                SELECT LPAD(seq, 12, '0'), 1000 + seq, 'k', REPEAT('x', 32), 1, NOW(6) FROM seq_1_to_5000
                """)
            try await test.sql(
                "INSERT INTO access_changes SELECT UTC_TIMESTAMP(6) - INTERVAL 1 HOUR, seq, 1, NULL, NULL FROM seq_1_to_5000"
            )
            try await test.sql("ANALYZE TABLE application_keys, access_changes")
            try await place.check("use a key", rows: 4) {
                _ = try await store.apply([.useKeys([key.id: TestCluster.time])], at: TestCluster.time)
            }
            try await place.check("revoke a key", rows: 8) {
                _ = try await store.apply([.revokeKey(key.id, of: test.tenant)], at: TestCluster.time)
            }
            try await place.check("a key", rows: 4) { _ = try await store.key(key.id) }
            try await place.check("keys", rows: 6) { _ = try await store.keys(of: test.tenant) }
            let publicID = try #require(try await store.tenant(test.tenant)).publicID
            try await place.check("by public id", rows: 4) {
                _ = try await store.identity(of: .publicID(publicID))
            }
            try await test.sql(
                """
                INSERT INTO applications (name, token, public_id, old_token, delete_at, created_at, updated_at)
                SELECT 'a', LPAD(seq, 32, 'd'), CONCAT('app_', LPAD(seq, 22, 'Z')), LPAD(seq, 32, 'e'),
                    NOW(6) + INTERVAL 1 DAY, NOW(6), NOW(6)
                FROM seq_1_to_5000
                """)
            try await test.sql(
                """
                INSERT INTO audit (application, created_at, principal, action, nonce)
                SELECT '\(publicID.text)', NOW(6), 'anyone', 'x', seq FROM seq_1_to_5000
                """)
            try await test.sql("ANALYZE TABLE applications, audit")
            try await place.check("unknown token", rows: 4) { _ = try await store.identity(of: .token(.random())) }
            for change in [
                TenantChange.rotate(test.tenant, to: .random(), oldUntil: TestCluster.time), .suspend(test.tenant),
                .resume(test.tenant),
            ] {
                try await place.check("\(change)", rows: 20) {
                    _ = try await store.apply(
                        [.audited(change, AuditRecord(.updateApplication, by: nil))], at: TestCluster.time)
                }
            }
            let token = try #require(try await store.tenant(test.tenant)).token
            _ = try await store.apply(
                [.rotate(test.tenant, to: .random(), oldUntil: TestCluster.time)], at: TestCluster.time)
            try await place.check("old token", rows: 4) { _ = try await store.identity(of: .token(token)) }
            for page in [Page(limit: 5), Page(limit: 5, before: 3000), Page(limit: 5, after: 3000)] {
                try await place.check("audit", rows: 20) { _ = try await store.audit(of: publicID, page: page) }
            }
            try await place.check("changes of access", rows: 20) {
                let now = try await store.read { try LogChanges.now($0) }
                var reader = AccessChanges.reader
                try await reader.read(since: now - AccessChanges.overlap, upTo: now, from: store) { _ in }
            }
            try await place.check("advance", rows: 1500) {
                try await test.sql(
                    "UPDATE chats SET counted_number = 3900 WHERE id = ?", [.integer(test.chat.rawValue)])
                try await store.scans.withConnection { try Counting.advance(test.chat.rawValue, $0) }
            }
        }
    }

    /// What a search reads does not grow with the chat's blocks and rows around its page, nor with other chats.
    @Test(arguments: [false, true])
    func searchBlocks(_ rails: Bool) async throws {
        try await run(rails: rails) { place in
            let (store, test) = (place.test.store, place.test)
            let (chat, blocks): (Int64, Int64) = (test.chat.rawValue, 100)
            // Each message has a time of its own, so that the newest blocks are known.
            try await test.sql("UPDATE messages SET created_at = TIMESTAMPADD(SECOND, id, '2026-01-01')")
            let ids = try await test.sql(
                "SELECT id FROM chats WHERE application_id = ?", [.integer(test.tenant.rawValue)])
            for id in ids.map({ $0[0] }) {
                let (size, count): (Int64, Int64) = id == chat ? (50, blocks) : (40, 1)
                for first in stride(from: Int64(1), through: size * count, by: Int(size)) {
                    try await storeBlock(of: Chat.ID(id), first...first + size - 1, test)
                }
            }
            try await test.sql("ANALYZE TABLE search_blocks, search_heads")
            // All blocks there and behind, because only one message matches; then those of one statement, with the
            // candidates of one, there and behind.
            let searches: [(String, Page, Int64)] = [
                ("body 2000", Page(limit: 1, after: 1990), blocks + 10),
                ("body 4", Page(limit: 1, before: 4500), 2 * (2 * 64 + 16) + 10),
                ("dy 2000", Page(after: 1999, before: 2002), blocks + 10),
            ]
            for (text, page, rows) in searches {
                try await place.check("search \(text)", rows: rows) {
                    let found = try await store.search(SearchQuery(SearchText(text)), in: test.chat, page: page)
                    #expect(found.items.count == 1)
                }
            }
            // 60 chats: their last numbers, the spans of their blocks, ten rows after each, counted twice; then the newest
            // blocks and a few candidates.
            let spans = blocks + Self.chats
            try await place.check("search a tenant", rows: 24 * Self.chats + 2 * spans) {
                let hits = try await store.search(
                    SearchQuery(SearchText("body")), in: test.tenant, page: TenantSearchPage(limit: 5))
                #expect(hits.hits.count == 5 && hits.hasMore)
            }
            let some = try await test.sql(
                "SELECT id FROM chats WHERE application_id = ? ORDER BY id LIMIT 10", [.integer(test.tenant.rawValue)]
            ).map { Chat.ID($0[0]) }
            try await place.check("heads", rows: 16) {
                let heads = try await store.heads(of: some)
                #expect(heads.count == 10)
            }
            try await place.check("coverage", rows: blocks + 16 * 2) {
                let coverage = try await store.coverage(of: some)
                #expect(coverage[test.chat] == 5000 && coverage.count == 10)
            }
            try await place.check("outlines", rows: 12) {
                let outlines = try await store.outlines(of: test.chat, after: 2001, limit: 4)
                #expect(outlines.map(\.span.lowerBound) == [2001, 2051, 2101, 2151])
            }
            try await place.check("block", rows: 1) {
                let block = try await store.block(of: test.chat, at: 2001)
                #expect(block?.count == 50)
            }
            try await place.check("chats below", rows: 12) {
                let chats = try await store.chats(below: Chat.ID(chat + 30), limit: 10)
                #expect(chats.count == 10)
            }
            try await place.check("changed chats", rows: 20) { _ = try await store.changedChats() }
            let block = try #require(try await store.block(of: test.chat, at: 2001))
            try await place.check("store a block", rows: 12) {
                let head = try await store.heads(of: [test.chat])[test.chat] ?? SearchHead()
                let isStored = try await store.store(block, at: head)
                #expect(isStored)
            }
            try await place.check("drop a block", rows: 8) {
                try await store.writes.withConnection { connection in
                    try connection.transaction { try MySQLStore.dropBlock(covering: 2001, of: test.chat, $0) }
                }
            }
            try await place.check("drop blocks", rows: 150) { _ = try await store.dropBlocks(of: test.chat) }
        }
    }

    /// What a search through an engine reads here depends on what has changed lately, not on the tenant's chats or rows.
    @Test(arguments: [false, true])
    func unfed(_ rails: Bool) async throws {
        try await run(rails: rails) { place in
            let (store, test) = (place.test.store, place.test)
            let generation = SearchGeneration(
                id: .random(), state: .building, foldVersion: SearchFold.version, marker: 0)
            #expect(try await store.begin(generation))
            #expect(try await store.promote(generation.id))
            let (reader, app) = (generation.id.reader.text, test.tenant.rawValue)
            // The engine has all but the last messages of two of the changed chats.
            try await test.sql(
                """
                INSERT INTO log_cursors SELECT ?, chat_id, MAX(messages.number) FROM messages
                JOIN chats ON chats.id = chat_id WHERE application_id = \(app) GROUP BY chat_id
                """, [.text(reader)])
            try await store.finish(store.beginSweep(of: generation.id.reader))
            let (changed, others): (Int64, Int64) = (6, 500)
            try await test.sql("DELETE FROM log_changes")
            let chats = try await test.sql(
                "SELECT id FROM chats WHERE application_id = ? ORDER BY id LIMIT \(changed)", [.integer(app)]
            ).map { $0[0] }
            let behind = [chats[1], chats[4]]
            for chat in behind {
                try await test.sql("UPDATE log_cursors SET number = number - 2 WHERE chat_id = \(chat)")
            }
            for chat in chats {
                try await test.sql(
                    "INSERT INTO log_changes SELECT UTC_TIMESTAMP(6), 1, \(chat), seq, 1 FROM seq_1_to_3")
            }
            try await test.sql(
                """
                INSERT INTO log_changes SELECT UTC_TIMESTAMP(6), 1, id, id, 1 FROM chats
                WHERE application_id <> \(app) ORDER BY id LIMIT \(others)
                """)
            // Before the last sweep, and so fed.
            try await test.sql(
                "INSERT INTO log_changes SELECT UTC_TIMESTAMP(6) - INTERVAL 30 MINUTE, 1, seq, 1, 1 FROM seq_1_to_5000")
            try await test.sql("ANALYZE TABLE log_changes, log_cursors")
            // Each change is counted, read, put into a temporary table and taken from there; each chat of it is looked up.
            let changes = 3 * changed + others
            try await place.check("unfed", rows: 6 * changes + 10 * changed + 40, temporary: "log_changes") {
                let found = try await store.unfed(
                    SearchQuery(SearchText("body")), in: test.tenant, page: TenantSearchPage(), within: UnfedLimits())
                #expect(found?.generation.id == generation.id)
                #expect(Set(found?.hits.hits.map(\.place.chat.rawValue) ?? []) == Set(behind))
                #expect(found?.hits.hits.count == 4)
            }
        }
    }
}
