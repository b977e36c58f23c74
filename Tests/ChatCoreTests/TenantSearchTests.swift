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
        let (hits, hasMore) = walk.found
        #expect(hits.map(\.message) == expected)
        #expect(hasMore == (expected.count < messages.count))
    }

    /// Blocks of other times need not be searched.
    @Test func timesAndPagesBoundTheSearch() throws {
        let place = SearchPlace(createdAt: Self.time(50), chat: Chat.ID(1), number: Message.Number(1))
        let walk = try Self.walk(TenantSearchPage(before: place), after: Self.time(10), before: Self.time(90))
        #expect(walk.newest == Self.time(50))
        #expect(walk.wants(upTo: Self.time(11)) && !walk.wants(upTo: Self.time(10)))
        #expect(walk.hasPassed(from: Self.time(51)) && !walk.hasPassed(from: Self.time(50)))
        #expect(try Self.walk(TenantSearchPage(), before: Self.time(20)).newest == Self.time(20))
        let free = try Self.walk(TenantSearchPage())
        #expect(free.newest == nil && free.wants(upTo: Self.time(0)) && !free.hasPassed(from: Self.time(.max)))
    }
}
