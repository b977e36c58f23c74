import Testing

@testable import ChatCore

/// What a search does when its time is up.
@Suite(.timeLimit(.minutes(1))) struct SearchWalkTests {
    /// Walks forty messages of 256 kB, with the time up from the beginning.
    private func walk(_ bodies: [Int64: String], _ page: Page, hasBlocks: Bool = false) async throws -> SearchWalk {
        let deadline = ContinuousClock.now + .milliseconds(50)
        var walk = try SearchWalk(SearchQuery(SearchText("needle")), limit: page.limit + 1, until: deadline)
        try await ContinuousClock().sleep(until: deadline)
        let filler = String(repeating: "x", count: SearchTime.stride)
        func see(_ number: Int64, _ walk: inout SearchWalk) throws -> Bool {
            let body = filler + bodies[number, default: ""]
            return try Array(body.utf8).withUnsafeBytes { bytes in
                try walk.see(bytes) {
                    Message(number: Message.Number(number), body: body, createdAt: Timestamp(microseconds: 0))
                }
            }
        }
        try walk.run(
            page,
            blocks: { numbers in
                // Of two numbers each; they have what their messages have.
                guard hasBlocks else { return [] }
                let blocks = stride(from: Int64(1), through: 39, by: 2)
                    .map { first in
                        let numbers = [first, first + 1].filter { bodies[$0] != nil }
                        return ScannedBlock(
                            span: first...first + 1,
                            candidates: numbers.map {
                                SearchCandidate(number: $0, createdAt: Timestamp(microseconds: 0))
                            })
                    }
                    .filter { $0.span.overlaps(numbers) }
                return page.walksUp ? blocks : blocks.reversed()
            },
            rows: { numbers, walk in
                guard numbers.overlaps(1...40) else { return }
                let stored = Array(numbers.clamped(to: 1...40))
                for number in page.walksUp ? stored : stored.reversed() {
                    if try !see(number, &walk) { return }
                }
            },
            candidates: { numbers, walk in
                for number in numbers {
                    if try !see(number, &walk) { return }
                }
            })
        return walk
    }

    @Test func itSaysWhichNumberItPassed() async throws {
        for (page, passed) in [
            (Page(), 1), (Page(after: 4), 5), (Page(order: .desc), 40), (Page(before: 8), 7),
            (Page(after: 2, before: 8, order: .desc), 7),
        ] as [(Page, Int64)] {
            await #expect(throws: ChatError.searchTimedOut(passed: passed), "\(page)") {
                _ = try await walk([:], page)
            }
        }
        #expect(throws: ChatError.searchTimedOut(passed: nil)) {
            _ = try SearchWalk(SearchQuery(SearchText("x")), limit: 1, until: .now)
        }
    }

    /// The clock is read every eighth block, before the block's candidates.
    @Test func aBlockThatWasOnlyLookedThroughCounts() async throws {
        await #expect(throws: ChatError.searchTimedOut(passed: 14)) {
            _ = try await walk([:], Page(), hasBlocks: true)
        }
    }

    /// A client that goes on after the last hit makes progress.
    @Test func whatItHasFoundIsAPage() async throws {
        let found = try await walk([1: "needle", 2: "needle"], Page())
        #expect(found.found.map(\.number.rawValue) == [1] && found.isCutShort && found.hasSeenEnough)
        let whole = PageOf(walked: found.found, page: Page(), isPrecededBy: false, isCutShort: found.isCutShort)
        #expect(whole.hasNext && !whole.hasPrevious)
        let inBlock = try await walk([1: "needle", 3: "needle"], Page(), hasBlocks: true)
        #expect(inBlock.found.map(\.number.rawValue) == [1] && inBlock.isCutShort)
    }

    /// A page is complete even if there was no time to look for matches before it.
    @Test func whatPrecedesMayBeUnknown() async throws {
        let found = try await walk([6: "needle"], Page(after: 5))
        for hasTime in [true, false] {
            let page = try SearchWalk.page(Page(after: 5)) { page, limit in
                if page == Page(after: 5) { return found }
                #expect(page == Page(before: 6, order: .desc) && limit == 1)
                guard hasTime else { throw ChatError.searchTimedOut(passed: 4) }
                return try SearchWalk(SearchQuery(SearchText("x")), limit: 1, until: .now + .seconds(60))
            }
            #expect(page.items.map(\.number.rawValue) == [6] && page.hasNext && page.hasPrevious == !hasTime)
        }
    }
}
