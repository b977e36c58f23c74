import TestSupport
import Testing

@testable import ChatCore

/// How the hits of many chats become one page.
@Suite(.timeLimit(.minutes(1))) struct TenantSearchTests {
    private static func time(_ microseconds: Int) -> Timestamp { Timestamp(microseconds: Int64(microseconds)) }

    private static func walk(
        _ page: TenantSearchPage, after: Timestamp? = nil, before: Timestamp? = nil
    ) throws -> TenantSearchWalk {
        try TenantSearchWalk(
            SearchQuery(SearchText("x"), after: after, before: before), page: page, until: .now + .seconds(60))
    }

    /// Whatever the order in which they are found, the newest hits make the page, as many as its bytes allow.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func thePageIsOfTheNewest(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let messages = (1...40).map { number in
            Message(
                number: Message.Number(Int64(number)),
                body: String(repeating: "x", count: .random(in: 1...300, using: &random)),
                createdAt: Self.time(.random(in: 1...30, using: &random)))
        }
        let page = TenantSearchPage(
            limit: .random(in: 1...12, using: &random), bytes: .random(in: 1...1500, using: &random))
        var walk = try Self.walk(page)
        for message in messages.shuffled(using: &random) where walk.wants(upTo: message.createdAt) {
            try Array(message.body.utf8).withUnsafeBytes { try walk.see($0, in: Chat.ID(7)) { message } }
        }
        let newest = messages.sorted {
            ($0.createdAt.microseconds, $0.number.rawValue) > ($1.createdAt.microseconds, $1.number.rawValue)
        }
        var expected: [Message] = []
        var bytes = 0
        for message in newest.prefix(page.limit) {
            bytes += message.body.lengthInJSON
            if !expected.isEmpty, bytes > page.bytes { break }
            expected.append(message)
        }
        let (hits, hasMore, _) = walk.found
        #expect(hits.map(\.message) == expected)
        #expect(hasMore == (expected.count < messages.count))
    }

    /// Blocks of other times need not be searched.
    @Test func timesAndPagesBoundTheSearch() throws {
        let place = SearchPlace(createdAt: Self.time(50), chat: Chat.ID(1), number: Message.Number(1))
        var walk = try Self.walk(TenantSearchPage(before: place), after: Self.time(10), before: Self.time(90))
        #expect(walk.newest == Self.time(50))
        let wanted = [11, 10].map { walk.wants(upTo: Self.time($0)) }
        #expect(wanted == [true, false])
        #expect(walk.hasPassed(from: Self.time(51)) && !walk.hasPassed(from: Self.time(50)))
        #expect(try Self.walk(TenantSearchPage(), before: Self.time(20)).newest == Self.time(20))
        var free = try Self.walk(TenantSearchPage())
        let wantsAll = free.wants(upTo: Self.time(0))
        #expect(wantsAll && free.newest == nil && !free.hasPassed(from: Self.time(.max)))
    }

    /// Messages in blocks, and what a walk reads of them.
    private struct Blocks {
        let messages: [SearchPlace: Message]
        /// Newest first.
        let blocks: [(chat: Chat.ID, newest: Timestamp, candidates: [SearchCandidate])]
        var lookedUp = 0

        init(_ random: inout SeededRandom, doesMatch: (inout SeededRandom) -> Bool = { _ in true }) {
            var messages: [SearchPlace: Message] = [:]
            var blocks: [(Chat.ID, Timestamp, [SearchCandidate])] = []
            for chat in 1...20 {
                let candidates = (1...30).map { number in
                    SearchCandidate(
                        number: Int64(number), createdAt: time(number * 10 + .random(in: 0...40, using: &random)))
                }
                for candidate in candidates {
                    let message = Message(
                        number: Message.Number(candidate.number), body: doesMatch(&random) ? "x" : "y",
                        createdAt: candidate.createdAt)
                    let place = SearchPlace(
                        createdAt: message.createdAt, chat: Chat.ID(Int64(chat)), number: message.number)
                    messages[place] = message
                }
                blocks.append((Chat.ID(Int64(chat)), candidates.map(\.createdAt).max()!, candidates))
            }
            self.messages = messages
            self.blocks = blocks.sorted { $0.1 > $1.1 }
        }

        /// - Parameter stop: the time is up after so many blocks.
        mutating func search(_ page: TenantSearchPage, stop: Int = .max) throws -> TenantSearchWalk {
            var walk = try TenantSearchTests.walk(page)
            let (blocks, messages) = (blocks, messages)
            try walk.run(
                rows: { _ in },
                blocks: { walk in
                    for (index, block) in blocks.enumerated() where walk.wants(upTo: block.newest) {
                        if index == stop { throw ChatError.searchTimedOut(passed: nil) }
                        try walk.take(block.candidates, of: block.chat) { _ in [:] }
                    }
                },
                lookUp: { places in
                    lookedUp += places.count
                    return Dictionary(uniqueKeysWithValues: places.map { ($0, messages[$0]!) })
                })
            return walk
        }
    }

    /// Of a text that every message has, only the rows of the page are read.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func onlyThePageIsRead(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var blocks = Blocks(&random)
        var page = TenantSearchPage(limit: .random(in: 1...100, using: &random))
        let all = blocks.messages.keys.sorted(by: >)
        if Bool.random(using: &random) { page.before = all.randomElement(using: &random) }
        let expected = all.filter { place in page.before.map { place < $0 } ?? true }
        let walk = try blocks.search(page)
        #expect(walk.found.hits.map(\.place) == Array(expected.prefix(page.limit)))
        #expect(walk.found.hasMore == (expected.count > page.limit) && walk.found.stoppedAt == nil)
        #expect(blocks.lookedUp == min(expected.count, page.limit + 1))
    }

    /// A candidate whose row does not match keeps no other hit from the page.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func onlyRowsThatMatchAreHits(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var blocks = Blocks(&random) { .random(in: 0..<10, using: &$0) < 7 }
        let page = TenantSearchPage(limit: .random(in: 1...500, using: &random))
        let expected = blocks.messages.filter { $0.value.body == "x" }.keys.sorted(by: >)
        let walk = try blocks.search(page)
        #expect(walk.found.hits.map(\.place) == Array(expected.prefix(page.limit)))
        #expect(walk.found.hasMore == (expected.count > page.limit))
    }

    /// When the time is up, the page has all hits that are newer than what was left, and says where to go on.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func aPageMayEndEarly(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var blocks = Blocks(&random)
        let stop = Int.random(in: 1...19, using: &random)
        let walk = try blocks.search(TenantSearchPage(limit: 500), stop: stop)
        let rest = blocks.blocks[stop].newest
        #expect(walk.found.hits.map(\.place) == blocks.messages.keys.filter { $0.createdAt > rest }.sorted(by: >))
        #expect(walk.found.hasMore && walk.found.stoppedAt == rest)
        let next = try #require(TenantHits(hits: [], hasMore: true, stoppedAt: rest).next(after: nil))
        #expect(SearchCursor(next.description) == next && next.createdAt == rest)
        // It would be no shorter from there, except that all rows were seen.
        var page = TenantSearchPage(
            limit: 500, before: SearchPlace(createdAt: rest, chat: Chat.ID(.max), number: Message.Number(.max)))
        page.progress = try blocks.search(page, stop: stop).progress
        #expect(page.progress?.chat == nil && page.progress != nil)
        #expect(throws: ChatError.searchTimedOut(passed: nil)) { try blocks.search(page, stop: stop) }
        #expect(throws: ChatError.searchTimedOut(passed: nil)) {
            var walk = try Self.walk(TenantSearchPage())
            try walk.run(
                rows: { _ in throw ChatError.searchTimedOut(passed: nil) }, blocks: { _ in }, lookUp: { _ in [:] })
        }
    }
}
