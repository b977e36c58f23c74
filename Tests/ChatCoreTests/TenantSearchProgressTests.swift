import TestSupport
import Testing

@testable import ChatCore

/// A search across a tenant whose time is up again and again finds in the end what one with enough time finds.
@Suite(.timeLimit(.minutes(1))) struct TenantSearchProgressTests {
    /// Chats with rows, some of which match, and blocks with candidates, some of which do not match.
    private struct Scene {
        var rows: [Int64: [Message]] = [:]
        var blocks: [(chat: Chat.ID, newest: Timestamp, candidates: [SearchCandidate])] = []
        var messages: [SearchPlace: Message] = [:]

        /// Whether blocks have what the rows do not.
        let hasMistakes: Bool

        init(_ random: inout SeededRandom) {
            hasMistakes = Bool.random(using: &random)
            for chat in 1...8 as ClosedRange<Int64> {
                let count = Int64.random(in: 0...20, using: &random)
                // Of each chat the lower numbers are in a block.
                let inBlock = Int64.random(in: 0...count, using: &random)
                var candidates: [SearchCandidate] = []
                for number in 1..<(count + 1) {
                    let message = Message(
                        number: Message.Number(number), body: Int.random(in: 0..<4, using: &random) == 0 ? "y" : "x",
                        createdAt: Timestamp(microseconds: .random(in: 1...60, using: &random)))
                    let place = SearchPlace(
                        createdAt: message.createdAt, chat: Chat.ID(chat + 100), number: message.number)
                    messages[place] = message
                    if number > inBlock {
                        rows[chat, default: []].append(message)
                    } else if hasMistakes || message.body == "x" {
                        candidates.append(SearchCandidate(number: number, createdAt: message.createdAt))
                    }
                }
                if let newest = candidates.map(\.createdAt).max() {
                    blocks.append((Chat.ID(chat + 100), newest, candidates))
                }
            }
            blocks.sort { $0.newest > $1.newest }
        }

        /// - Parameter stop: the time is up after so many rows and blocks.
        func search(_ page: TenantSearchPage, stop: Int = .max) throws -> TenantHits {
            var walk = try TenantSearchWalk(
                SearchQuery(SearchText("x")), page: page, until: .now + .seconds(60))
            let lookUp = { (places: [SearchPlace]) in
                Dictionary(uniqueKeysWithValues: places.compactMap { place in messages[place].map { (place, $0) } })
            }
            var steps = 0
            func step() throws {
                steps += 1
                if steps > stop { throw ChatError.searchTimedOut(passed: nil) }
            }
            try walk.run(
                rows: { walk in
                    guard let first = walk.firstChat?.rawValue else { return }
                    for chat in first..<9 {
                        if let left = walk.left(of: Chat.Number(chat)) {
                            for message in rows[chat] ?? [] where left.contains(message.number.rawValue) {
                                do {
                                    try step()
                                } catch {
                                    walk.pass(Chat.Number(chat), upTo: message.number.rawValue - 1)
                                    throw error
                                }
                                try Array(message.body.utf8).withUnsafeBytes {
                                    try walk.see($0, in: Chat.ID(chat + 100)) { message }
                                }
                            }
                        }
                        walk.pass(Chat.Number(chat))
                    }
                },
                blocks: { walk in
                    for block in blocks where walk.wants(upTo: block.newest) {
                        try step()
                        try walk.take(block.candidates, of: block.chat, lookUp)
                    }
                },
                lookUp: lookUp)
            return walk.hits { chats in
                Dictionary(uniqueKeysWithValues: chats.map { ($0, Chat.Number($0.rawValue - 100)) })
            }
        }
    }

    /// The page that this cursor leads to.
    private func page(_ limit: Int, _ cursor: SearchCursor?) -> TenantSearchPage {
        var page = TenantSearchPage(limit: limit)
        guard let cursor else { return page }
        func place(_ time: Timestamp, _ chat: Chat.Number, _ number: Message.Number) -> SearchPlace {
            let id = chat.rawValue > 8 ? Int64.max : chat.rawValue + 100
            return SearchPlace(createdAt: time, chat: Chat.ID(id), number: number)
        }
        page.before = place(cursor.createdAt, cursor.chat, cursor.number)
        page.progress = cursor.progress.map { progress in
            TenantSearchProgress(
                chat: progress.chat, number: progress.number,
                hits: progress.hits.map { place($0.createdAt, $0.chat, $0.number) }, isFull: progress.isFull)
        }
        return page
    }

    @Test(arguments: 0..<300 as Range<UInt64>)
    func inTheEndEverythingIsFound(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let scene = Scene(&random)
        let expected = scene.messages.filter { $0.value.body == "x" }.keys.sorted(by: >)
        let limit = Int.random(in: 1...70, using: &random)
        let first = SearchCursor.start
        // More than the blocks, or each search would end where the one before did.
        let stop = Int.random(in: 9...30, using: &random)
        var (found, cursor): ([SearchPlace], SearchCursor?) = ([], first)
        var (requests, time) = (0, stop)
        repeat {
            requests += 1
            #expect(requests < 5000)
            let hits: TenantHits
            do {
                hits = try scene.search(page(limit, cursor), stop: time)
            } catch ChatError.searchTimedOut {
                // Candidates that did not match have taken the time of the others.
                #expect(scene.hasMistakes && time == stop, "\(String(describing: cursor))")
                time = .max
                continue
            }
            time = stop
            #expect(hits.progress == nil || hits.hits.isEmpty)
            found += hits.hits.map(\.place)
            let next = hits.next(after: cursor)
            #expect(next != cursor || next == nil)
            // As it comes back from a client.
            if let next { #expect(SearchCursor(next.description) == next && next.description.utf8.count < 1700) }
            cursor = next
        } while cursor != nil && requests < 5000
        #expect(found == expected)
    }

    @Test func aSearchThatGetsNowhereHasNoProgress() throws {
        var random = SeededRandom(seed: 1)
        let scene = Scene(&random)
        // Once: it has passed the chats without rows. Then only blocks are left, or a row.
        var page = TenantSearchPage()
        page.progress = try scene.search(page, stop: 0).progress
        #expect(page.progress != nil)
        #expect(throws: ChatError.searchTimedOut(passed: nil)) { try scene.search(page, stop: 0) }
    }

    @Test func otherTextIsNoCursor() throws {
        let hit = SearchCursor.Hit(
            createdAt: Timestamp(microseconds: 5), chat: Chat.Number(1), number: Message.Number(2))
        var cursor = SearchCursor.start
        func with(_ count: Int) -> String {
            cursor.progress = SearchCursor.Progress(
                chat: Chat.Number(3), number: 4, hits: Array(repeating: hit, count: count), isFull: true)
            return cursor.description
        }
        for count in [0, 1, 50] {
            #expect(SearchCursor(with(count)) == cursor)
            // As openapi.yaml says.
            #expect(with(count).wholeMatch(of: /A[g-v][A-Za-z0-9_-]{53,1586}/) != nil)
        }
        #expect(SearchCursor(with(51)) == nil)
        let text = with(2)
        for bad in [
            "", "A", text + "A", String(text.dropLast()), text + "=", "B" + text.dropFirst(), text + " ",
            String(repeating: "A", count: 100_000), text.replacing("A", with: "/"), "\u{301}" + text,
        ] { #expect(SearchCursor(bad) == nil, "\(bad.prefix(80))") }
    }

    /// A client may send any place; a hit is shown only at its own.
    @Test func aPlaceThatAClientMadeUpIsNoHit() throws {
        var random = SeededRandom(seed: 2)
        let scene = Scene(&random)
        let real = try #require(scene.messages.first { $0.value.body == "x" })
        var page = TenantSearchPage(limit: 10)
        let forged = SearchPlace(
            createdAt: real.key.createdAt.adding(.microseconds(1000)), chat: real.key.chat, number: real.key.number)
        var walk: TenantSearchWalk
        for (place, count) in [(forged, 0), (real.key, 1)] {
            page.progress = TenantSearchProgress(chat: nil, hits: [place], isFull: false)
            walk = try TenantSearchWalk(SearchQuery(SearchText("x")), page: page, until: .now + .seconds(60))
            try walk.run(
                rows: { _ in }, blocks: { _ in },
                lookUp: { Dictionary(uniqueKeysWithValues: $0.map { ($0, real.value) }) })
            #expect(walk.found.hits.count == count)
        }
    }
}
