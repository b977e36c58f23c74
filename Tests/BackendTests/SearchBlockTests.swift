import Foundation
import Logging
import MySQLClient
import Synchronization
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore
@testable import ChatSQLite

/// Searches find through blocks what they find in the rows, whatever has happened to both.
@Suite(.timeLimit(.minutes(3))) struct SearchBlockTests {
    private static let kinds = BackendKind.allCases

    static func indexer(
        _ test: TestBackend, _ limits: SearchIndexLimits = SearchIndexLimits(),
        at now: Timestamp = WallClock.system.now()
    ) throws -> SearchIndexer {
        SearchIndexer(
            index: test.backend.searchIndex, messages: test.backend.messages,
            readers: test.backend.readers, log: test.backend.chatLog, limits: limits, clock: WallClock { now },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Random appends, edits, deletes and steps of the indexer; after each, random searches and pages, in a chat and
    /// across the tenant, are compared with a plain walk over what was stored.
    @Test(arguments: kinds, 0..<8 as Range<UInt64>)
    func blocksFindWhatRowsHave(_ kind: BackendKind, _ seed: UInt64) async throws {
        try await TestBackend.run(kind) { test in
            var limits = SearchIndexLimits()
            (limits.smallest, limits.quiet) = (4, .zero)
            let indexer = try Self.indexer(test, limits)
            var scene = try await Scene(test, SeededRandom(seed: seed))
            var tails = SearchTails(limits: limits)
            for _ in 0..<40 {
                switch Int.random(in: 0..<8, using: &scene.random) {
                case 0...3: try await scene.append()
                case 4: try await scene.edit()
                case 5: try await scene.delete()
                case 6: try await indexer.follow(&tails)
                default: try await indexer.walk()
                }
                for _ in 0..<3 { try await scene.searchChat() }
                try await scene.searchTenant()
            }
            try await indexer.walk()
            for _ in 0..<20 { try await scene.searchChat() }
            let status = try await test.backend.searchIndex.searchStatus()
            #expect(status.blocks > 3 && status.indexed > 0)
            let findings = try await SearchVerifier(
                index: test.backend.searchIndex, messages: test.backend.messages
            ).verify()
            #expect(findings.problems == [] && findings.blocks == status.blocks)
        }
    }

    /// What `StoreTests` finds in rows is found in blocks, when every message is in one.
    @Test(arguments: kinds)
    func blocksFindEveryCase(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            var chats: [Chat.ID] = []
            for example in SearchCase.all {
                chats.append(try await test.makeChat())
                try await test.send(example.found + example.missed, to: chats[chats.count - 1])
            }
            var limits = SearchIndexLimits()
            limits.smallest = 1
            try await Self.indexer(test, limits).walk()
            let status = try await test.backend.searchIndex.searchStatus()
            #expect(status.indexed == status.messages && status.blocks >= chats.count)
            for (example, chat) in zip(SearchCase.all, chats) {
                let found = try await test.backend.messages.search(
                    SearchQuery(SearchText(example.query)), in: chat, page: Page(limit: 1000))
                #expect(found.items.map(\.body) == example.found, "\(example)")
            }
        }
    }

    /// A block made of rows that were edited meanwhile is not stored.
    @Test(arguments: kinds)
    func aBlockOfOlderRowsIsNotStored(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(["before"], to: chat)
            let index = test.backend.searchIndex
            var builder = SearchBlockBuilder(chat, after: 0)
            for entry in try await test.backend.messages.entries(
                in: chat, after: 0, limit: StreamLimits.Size(messages: 10, bytes: 1 << 20))
            { _ = builder.append(entry) }
            let block = try #require(builder.block())
            try await test.edit(1, in: chat, to: "after")
            #expect(try await !index.store(block, at: SearchHead()))
            let found = try await test.backend.messages.search(
                SearchQuery(SearchText("after")), in: chat, page: Page())
            #expect(found.numbers == [1])
        }
    }

    /// A chat that grows slowly gets a block when it is quiet, and a larger one when it has doubled.
    @Test(arguments: kinds)
    func quietChatsGetSmallBlocks(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let index = test.backend.searchIndex
            let indexer = try Self.indexer(test, at: TestBackend.time)
            func spans() async throws -> [ClosedRange<Int64>] {
                try await index.outlines(of: chat, after: 0, limit: 10).map(\.span)
            }
            try await test.send((1...31).map { "m\($0)" }, to: chat)
            try await indexer.walk()
            #expect(try await spans() == [])
            try await test.send(["m32"], to: chat)
            try await indexer.walk()
            #expect(try await spans() == [1...32])
            try await test.send((33...63).map { "m\($0)" }, to: chat)
            try await indexer.walk()
            #expect(try await spans() == [1...32])
            try await test.send(["m64"], to: chat)
            try await indexer.walk()
            #expect(try await spans() == [1...64])
            #expect(try await index.heads(of: [chat])[chat] == SearchHead(indexedTo: 64))
            while try await index.dropBlocks(of: chat) {}
            #expect(try await spans() == [])
            #expect(try await index.heads(of: [chat])[chat] == SearchHead(indexedTo: 0, edits: 1))
            try await indexer.walk()
            #expect(try await spans() == [1...64])
        }
    }

    /// What a chat got last is in a block too, when it has been quiet for longer; and however slowly it grows, it has few
    /// blocks.
    @Test(arguments: kinds)
    func oldTailsGetBlocks(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let index = test.backend.searchIndex
            let limits = SearchIndexLimits()
            let young = try Self.indexer(test, at: TestBackend.time.adding(limits.old - .microseconds(1)))
            let old = try Self.indexer(test, at: TestBackend.time.adding(limits.old))
            func spans() async throws -> [ClosedRange<Int64>] {
                try await index.outlines(of: chat, after: 0, limit: 1000).map(\.span)
            }
            let least = index.smallestTail
            try await test.send((2...least).map { "m\($0)" }, to: chat)
            try await old.walk()
            #expect(try await spans() == [])
            try await test.send(["last"], to: chat)
            if least < limits.smallest { try await young.walk() }
            #expect(try await spans() == [])
            try await old.walk()
            #expect(try await spans() == [1...Int64(least)])
            for _ in 0..<60 {
                try await test.send((1...least).map { "n\($0)." }, to: chat)
                try await old.walk()
            }
            let all = try await spans()
            #expect(all.count < 8 && all.first?.lowerBound == 1 && all.last?.upperBound == Int64(61 * least), "\(all)")
            #expect(zip(all, all.dropFirst()).allSatisfy { $0.upperBound + 1 == $1.lowerBound && $0.count >= $1.count })
            let found = try await test.backend.messages.search(
                SearchQuery(SearchText("n4.")), in: chat, page: Page(limit: 1000))
            #expect(found.items.count == 60)
        }
    }

    /// A message that folds to more than a block may hold stays in its row; what follows it is indexed.
    @Test(arguments: kinds)
    func aMessageThatIsTooLongIsLeftOut(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let index = test.backend.searchIndex
            let long = "needle " + String(repeating: "ﷺ", count: 8000)
            try await test.send(["m1", "m2", "m3", "m4", long, "m6 needle", long, long, "m9"], to: chat)
            try await test.send((10...20).map { "m\($0) needle" } + [long], to: chat)
            var limits = SearchIndexLimits()
            limits.smallest = 1
            let indexer = try Self.indexer(test, limits)
            for _ in 0..<2 {
                try await indexer.walk()
                #expect(
                    try await index.outlines(of: chat, after: 0, limit: 10).map(\.span) == [1...4, 6...6, 9...20])
                #expect(try await index.heads(of: [chat])[chat]?.indexedTo == 20)
            }
            let found = try await test.backend.messages.search(
                SearchQuery(SearchText("needle")), in: chat, page: Page())
            #expect(found.numbers == [5, 6, 7, 8] + (10...21))
            let hits = try await test.backend.messages.search(
                SearchQuery(SearchText("needle")), in: test.tenant, page: TenantSearchPage(limit: 1000, bytes: 1 << 20))
            #expect(hits.hits.map(\.message.number.rawValue) == (10...21).reversed() + [8, 7, 6, 5])
            let verifier = SearchVerifier(index: index, messages: test.backend.messages)
            #expect(try await verifier.verify().problems == [])
        }
    }

    /// A walk goes on where it has failed.
    @Test(arguments: kinds)
    func aWalkGoesOnAfterAFailure(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            var chats: [Chat.ID] = []
            for _ in 0..<3 {
                chats.append(try await test.makeChat())
                try await test.send((1...4).map { "m\($0)" }, to: chats.last!)
            }
            let index = FailingIndex(of: test.backend.searchIndex)
            var limits = SearchIndexLimits()
            (limits.chatsAtOnce, limits.smallest) = (1, 4)
            let indexer = SearchIndexer(
                index: index, messages: test.backend.messages, readers: test.backend.readers,
                log: test.backend.chatLog, limits: limits,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            var place = SearchIndexer.WalkPlace()
            index.refused.withLock { $0 = chats[1] }
            await #expect(throws: ChatError.self) { try await indexer.walk(from: &place) }
            #expect(try await test.backend.searchIndex.heads(of: chats).keys.map(\.self) == [chats[2]])
            index.refused.withLock { $0 = chats[2] }
            try await indexer.walk(from: &place)
            #expect(try await test.backend.searchIndex.heads(of: chats).count == 3)
            // The next one begins at the newest chat again.
            await #expect(throws: ChatError.self) { try await indexer.walk(from: &place) }
        }
    }

    /// The verifier names a block that differs from its rows.
    @Test(arguments: kinds)
    func theVerifierSeesADifference(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let index = test.backend.searchIndex
            try await test.send((1...39).map { "m\($0)" }, to: chat)
            try await test.send(["m40"], to: chat, at: TestBackend.time.adding(.seconds(1)))
            try await Self.indexer(test).walk()
            let verifier = SearchVerifier(index: index, messages: test.backend.messages)
            #expect(try await verifier.verify().problems == [])
            try await test.edit(7, in: chat, to: "other", dropsBlock: false)
            let findings = try await verifier.verify()
            #expect(findings.problems.count == 1 && findings.problems[0].contains("messages 1 to 40"))
            for change in ["times = numbers", "newest_at = oldest_at", "application_id = application_id + 1"] {
                try await test.edit(7, in: chat, to: "m7")
                try await Self.indexer(test).walk()
                #expect(try await verifier.verify().problems == [])
                try await test.changeBlocks(change)
                #expect(try await verifier.verify().problems.count == 1, "\(change)")
            }
        }
    }
}

/// Chats with random messages, and what a search must find in them.
private struct Scene {
    let test: TestBackend
    var random: SeededRandom
    private var chats: [(id: Chat.ID, bodies: [Int64: String], times: [Int64: Timestamp])] = []

    private static let words = [
        "alpha", "Beta", "gämma", "DELTA", "กิน", "กัน", "ﬁsh", "日本", "👍🏽", "o'clock", "100%", "Straße", "привет", "İ",
    ]

    init(_ test: TestBackend, _ random: SeededRandom) async throws {
        self.test = test
        self.random = random
        for _ in 0..<3 { chats.append((try await test.makeChat(), [:], [:])) }
    }

    private mutating func text(of count: Int) -> String {
        (0..<count).map { _ in Self.words.randomElement(using: &random)! }.joined(separator: " ")
    }

    private mutating func body() -> String {
        let text = text(of: .random(in: 1...3, using: &random))
        // Long ones fill blocks.
        return text + String(repeating: "·x", count: .random(in: 0...900, using: &random))
    }

    mutating func append() async throws {
        let chat = Int.random(in: 0..<chats.count, using: &random)
        var bodies: [String] = []
        for _ in 0..<Int.random(in: 1...30, using: &random) { bodies.append(body()) }
        let time = TestBackend.time.adding(.microseconds(Int.random(in: 0...1000, using: &random)))
        let numbers = try await test.send(bodies, to: chats[chat].id, at: time)
        for (number, body) in zip(numbers, bodies) {
            chats[chat].bodies[number] = body
            chats[chat].times[number] = time
        }
    }

    private mutating func place() -> (chat: Int, number: Int64)? {
        let chat = Int.random(in: 0..<chats.count, using: &random)
        return chats[chat].bodies.keys.sorted().randomElement(using: &random).map { (chat, $0) }
    }

    mutating func edit() async throws {
        guard let (chat, number) = place() else { return }
        let body = body()
        try await test.edit(number, in: chats[chat].id, to: body)
        chats[chat].bodies[number] = body
    }

    /// What is deleted keeps its number, without a text.
    mutating func delete() async throws {
        guard let (chat, number) = place() else { return }
        try await test.edit(number, in: chats[chat].id, to: "")
        chats[chat].bodies[number] = ""
    }

    private mutating func query() throws -> SearchText {
        if Bool.random(using: &random) { return try SearchText(text(of: 1)) }
        return try SearchText(
            ["a", "alpha b", "x", "ss", "\u{301}", "nothing", "·", "TA GÄM"].randomElement(using: &random)!)
    }

    /// With or without times.
    private mutating func filtered(_ text: SearchText) -> SearchQuery {
        func time() -> Timestamp? {
            guard Int.random(in: 0..<3, using: &random) == 0 else { return nil }
            return TestBackend.time.adding(.microseconds(Int.random(in: -1...1001, using: &random)))
        }
        return SearchQuery(text, after: time(), before: time())
    }

    private func matching(_ query: SearchQuery, in chat: Int) -> [Int64] {
        var matcher = SearchMatcher(query.text)
        let (bodies, times) = (chats[chat].bodies, chats[chat].times)
        return bodies.filter { query.takes(times[$0.key]!) && matcher.matches($0.value) }.map(\.key).sorted()
    }

    mutating func searchChat() async throws {
        let chat = Int.random(in: 0..<chats.count, using: &random)
        let highest = Int64(chats[chat].bodies.count) + 2
        func bound() -> Int64? { Bool.random(using: &random) ? .random(in: 0...highest, using: &random) : nil }
        var page = Page(
            limit: .random(in: 1...20, using: &random), after: bound(), before: bound(),
            order: Bool.random(using: &random) ? .asc : .desc)
        page.bytes = Bool.random(using: &random) ? 4096 : Page.defaultBytes
        let query = try filtered(query())
        let text = query.text
        let found = try await test.backend.messages.search(query, in: chats[chat].id, page: page)
        let all = matching(query, in: chat)
        let inside = all.filter { $0 > page.lowerBound && $0 < page.upperBound }
        let walked = page.walksUp ? inside : inside.reversed()
        let kept = walked.prefix(found.items.count)
        #expect(Set(found.numbers) == Set(kept), "\(text.text) \(page)")
        #expect(found.items.allSatisfy { chats[chat].bodies[$0.number.rawValue] == $0.body })
        #expect(found.items.count <= page.limit && (inside.isEmpty || !found.items.isEmpty))
        let goesOn = page.walksUp == (page.order == .asc) ? found.hasNext : found.hasPrevious
        #expect(goesOn == (walked.count > kept.count), "\(text.text) \(page)")
        // Nothing is left out but for the size of the page.
        if page.bytes == Page.defaultBytes { #expect(kept.count == min(page.limit, walked.count)) }
    }

    mutating func searchTenant() async throws {
        let query = try filtered(query())
        let text = query.text
        var expected: [TenantHit] = []
        for chat in chats.indices {
            let listed = try await test.list(chats[chat].id, Page(limit: 1000)).items
            let matching = Set(matching(query, in: chat))
            expected += listed.filter { matching.contains($0.number.rawValue) }
                .map { TenantHit(chat: chats[chat].id, number: Chat.Number(Int64(chat + 1)), message: $0) }
        }
        expected.sort { $0.place > $1.place }
        var page = TenantSearchPage(limit: .random(in: 1...40, using: &random))
        var found: [TenantHit] = []
        for _ in 0..<3 {
            let hits = try await test.backend.messages.search(query, in: test.tenant, page: page)
            found += hits.hits
            #expect(hits.hasMore == (found.count < expected.count), "\(text.text) \(page)")
            guard hits.hasMore, let last = hits.hits.last else { break }
            page.before = last.place
        }
        #expect(found == Array(expected.prefix(found.count)), "\(text.text) \(page)")
    }
}

/// An index that cannot be asked about one chat.
private final class FailingIndex: SearchIndex {
    private let index: any SearchIndex
    let refused = Mutex<Chat.ID?>(nil)

    init(of index: any SearchIndex) { self.index = index }

    var smallestTail: Int { index.smallestTail }
    func changedChats() async throws -> [Chat.ID] { try await index.changedChats() }
    func chats(below id: Chat.ID?, limit: Int) async throws -> [Chat.ID] {
        try await index.chats(below: id, limit: limit)
    }
    func heads(of chats: [Chat.ID]) async throws -> [Chat.ID: SearchHead] {
        if let refused = refused.withLock({ $0 }), chats.contains(refused) {
            throw ChatError.unavailable(reason: "Refused")
        }
        return try await index.heads(of: chats)
    }
    func coverage(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] { try await index.coverage(of: chats) }
    func outlines(of chat: Chat.ID, after number: Int64, limit: Int) async throws -> [SearchBlockOutline] {
        try await index.outlines(of: chat, after: number, limit: limit)
    }
    func block(of chat: Chat.ID, at first: Int64) async throws -> SearchBlock? {
        try await index.block(of: chat, at: first)
    }
    func store(_ block: SearchBlock, at head: SearchHead) async throws -> Bool {
        try await index.store(block, at: head)
    }
    func dropBlocks(of chat: Chat.ID) async throws -> Bool { try await index.dropBlocks(of: chat) }
    func searchStatus() async throws -> SearchStatus { try await index.searchStatus() }
}

extension TestBackend {
    /// Changes all blocks, as nothing does.
    fileprivate func changeBlocks(_ change: String) async throws {
        switch backend.searchIndex {
        case let store as SQLiteStore: try store.write { try Query($0, "UPDATE search_blocks SET \(change)").run() }
        case let store as MySQLStore:
            try await store.writes.withConnection { _ = try $0.execute("UPDATE search_blocks SET \(change)") }
        default: preconditionFailure("no such store")
        }
    }

    /// Changes a message's text as an edit will: the row, and with it the block that covers it.
    func edit(_ number: Int64, in chat: Chat.ID, to body: String, dropsBlock: Bool = true) async throws {
        switch backend.searchIndex {
        case let store as SQLiteStore:
            try store.write { db in
                let update = try Query(
                    db, "UPDATE messages SET body = ? WHERE chat_id = ? AND number = ?", .text(body),
                    .integer(chat.rawValue), .integer(number))
                try update.run()
                if dropsBlock { try SQLiteStore.dropBlock(covering: number, of: chat, db) }
            }
        case let store as MySQLStore:
            try await store.writes.withConnection { connection in
                try connection.transaction { connection in
                    try connection.execute(
                        "UPDATE messages SET body = ? WHERE chat_id = ? AND number = ?",
                        [.text(body), .integer(chat.rawValue), .integer(number)])
                    if dropsBlock { try MySQLStore.dropBlock(covering: number, of: chat, connection) }
                }
            }
        default: preconditionFailure("no such store")
        }
    }
}

extension SearchMatcher {
    fileprivate mutating func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { matches(UnsafeRawBufferPointer($0)) }
    }
}
