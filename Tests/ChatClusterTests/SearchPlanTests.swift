import Foundation
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// The query plans of searches, likewise.
@Suite(.timeLimit(.minutes(3))) struct SearchPlanTests {
    /// What a search reads does not grow with the chat's blocks and rows around its page, nor with other chats.
    @Test(arguments: [false, true])
    func searchBlocks(_ rails: Bool) async throws {
        try await PlanScene.run(rails: rails) { place in
            let (store, test) = (place.test.store, place.test)
            let (chat, blocks): (Int64, Int64) = (test.chat.rawValue, 100)
            // Each message has a time of its own, so that the newest blocks are known.
            try await test.sql("UPDATE messages SET created_at = TIMESTAMPADD(SECOND, id, '2026-01-01')")
            let ids = try await test.sql(
                "SELECT id FROM chats WHERE application_id = ?", [.integer(test.tenant.rawValue)])
            for id in ids.map({ $0[0] }) {
                let (size, count): (Int64, Int64) = id == chat ? (50, blocks) : (40, 1)
                for first in stride(from: Int64(1), through: size * count, by: Int(size)) {
                    try await PlanScene.storeBlock(of: Chat.ID(id), first...first + size - 1, test)
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
            let spans = blocks + PlanScene.chats
            try await place.check("search a tenant", rows: 24 * PlanScene.chats + 2 * spans) {
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
        try await PlanScene.run(rails: rails) { place in
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
