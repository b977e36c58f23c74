import TestSupport
import Testing

@testable import ChatCore

/// Searches in blocks and rows compared with a plain walk, over whatever may happen to both.
@Suite(.timeLimit(.minutes(3))) struct SearchPropertyTests {
    /// Random appends, edits, deletes and steps of the indexer; after each, random searches and pages, in a chat and
    /// across the tenant, are compared with a plain walk over what was stored.
    @Test(arguments: SearchBlockTests.kinds, 0..<8 as Range<UInt64>)
    func blocksFindWhatRowsHave(_ kind: BackendKind, _ seed: UInt64) async throws {
        try await TestBackend.run(kind) { test in
            var limits = SearchIndexLimits()
            (limits.smallest, limits.quiet) = (4, .zero)
            let indexer = try SearchBlockTests.indexer(test, limits)
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

extension SearchMatcher {
    fileprivate mutating func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { matches(UnsafeRawBufferPointer($0)) }
    }
}
