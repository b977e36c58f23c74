import Foundation
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// The query plans of the store's real statements, on a database with many rows: every one uses an index and reads no
/// more rows than the answer has.
@Suite(.timeLimit(.minutes(3))) struct PlanTests {
    private static let pages = [
        Page(), Page(order: .desc), Page(after: 100), Page(after: 2000), Page(after: 4900),
        Page(after: PlanScene.large),
        Page(before: 100), Page(before: 2000), Page(before: 4900), Page(before: 3000, order: .desc),
        Page(after: 2000, order: .desc), Page(after: 1000, before: 4000), Page(after: 1000, before: 4000, order: .desc),
    ]

    @Test(arguments: [false, true])
    func pages(_ rails: Bool) async throws {
        try await PlanScene.run(rails: rails) { place in
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
        try await PlanScene.run(rails: rails) { place in
            let (store, test) = (place.test.store, place.test)
            for number in [1, 2500, PlanScene.large, PlanScene.large + 1] {
                try await place.check("message \(number)", rows: 1) {
                    _ = try await store.message(Message.Number(number), in: test.chat)
                }
                try await place.check("settle \(number)", rows: number > PlanScene.large ? 8 : 2) {
                    // The first call has voided the numbers above.
                    try await store.settle(number...number, in: test.chat)
                }
            }
            try await place.check("count", rows: 15) { _ = try await store.count(in: test.chat) }
            try await place.check("chat", rows: 15) { _ = try await store.chat(Chat.Number(1), in: test.tenant) }
            try await place.check("chat's id", rows: 1) { _ = try await store.id(of: Chat.Number(7), in: test.tenant) }
            let token = try #require(try await store.tenant(test.tenant)).token
            try await place.check("tenant's id", rows: 2) { _ = try await store.id(of: token) }
            try await place.check("tenant", rows: 70) { _ = try await store.tenant(test.tenant) }
            try await place.check("tenant's count", rows: 70) { _ = try await store.messageCount(of: test.tenant) }
            try await place.check("highest", rows: 10) {
                let owners = [test.chat.rawValue, test.chat.rawValue + 1, test.chat.rawValue + 2]
                let highest = try await store.messageLog.highestNumbers(of: owners, within: .seconds(5))
                #expect(highest[test.chat.rawValue] == PlanScene.large + 1)
            }
            try await place.check("last numbers", rows: 10) {
                let chats = (0..<3).map { Chat.ID(test.chat.rawValue + $0) }
                let last = try await store.lastNumbers(of: chats)
                #expect(last[test.chat] == PlanScene.large + 1)
            }
            try await place.check("tail", rows: 2 * LogTail.depth + 10) {
                let tail = try await store.tail(of: test.chat)
                #expect(tail == LogTail(upTo: PlanScene.large + 1))
            }
            for after in [0, 2500, PlanScene.large - 100] {
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
                #expect(highest[test.tenant.rawValue] == PlanScene.chats)
            }
            let places = (1...200).map { OwnedNumber(owner: test.chat.rawValue, number: $0 * 30) }
            try await place.check("batches", rows: 400) {
                let found = try await store.messageLog.pool.withConnection { connection in
                    try store.messageLog.batches(at: places, connection)
                }
                #expect(found.count == Int(PlanScene.large / 30))
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
        try await PlanScene.run(rails: rails) { place in
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
            try await place.check("advance", rows: 1500) {
                try await test.sql(
                    "UPDATE chats SET counted_number = 3900 WHERE id = ?", [.integer(test.chat.rawValue)])
                try await store.scans.withConnection { try Counting.advance(test.chat.rawValue, $0) }
            }
        }
    }
}
