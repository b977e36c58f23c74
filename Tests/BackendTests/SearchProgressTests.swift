import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore
@testable import ChatSQLite

/// A search across a tenant that goes on where an earlier one stopped.
@Suite(.timeLimit(.minutes(3))) struct SearchProgressTests {
    private static func search(
        _ test: TestBackend, _ progress: TenantSearchProgress?, limit: Int = 100
    ) async throws -> TenantHits {
        var page = TenantSearchPage(limit: limit)
        page.progress = progress
        return try await test.backend.messages.search(SearchQuery(SearchText("needle")), in: test.tenant, page: page)
    }

    /// It reads only what is left, and the hits of before.
    @Test(arguments: BackendKind.allCases, [false, true])
    func onlyWhatIsLeftIsSearched(_ kind: BackendKind, _ hasBlocks: Bool) async throws {
        try await TestBackend.run(kind) { test in
            // Holes of all lengths. In the cluster the third chat's is walked by itself; the embedded store's own indexer
            // does not take so few.
            let third = kind == .cluster ? 300 : 31
            var chats: [Chat.ID] = []
            for _ in 0..<5 { chats.append(try await test.makeChat()) }
            if hasBlocks {
                for chat in chats { try await test.send((1...40).map { "hay \($0)" }, to: chat) }
                try await SearchBlockTests.indexer(test, at: TestBackend.time).walk()
            }
            for (chat, count) in zip(chats, [3, 1, third, 0, 2]) where count > 0 {
                try await test.send(
                    (1...count).map { "needle \($0)" }, to: chat,
                    at: TestBackend.time.adding(.seconds(chat.rawValue)))
            }
            let all = try await Self.search(test, nil, limit: 1000).hits
            #expect(all.count == third + 6)
            let above = Int64(hasBlocks ? 40 : 0)
            let old = [all[third + 5].place, all[third + 3].place].sorted(by: >)
            let gone = SearchPlace(createdAt: TestBackend.time, chat: Chat.ID(.max), number: Message.Number(7))
            for (chat, number, expected) in [
                (1, 0, third + 6), (1, above + 2, third + 4), (2, 0, third + 3), (3, above + Int64(third) - 2, 4),
                (3, .max, 2), (4, 5, 2), (5, above + 1, 1), (6, 0, 0), (nil, 0, 0),
            ] as [(Int64?, Int64, Int)] {
                for hits in [[], old, old + [gone]] {
                    let found = try await Self.search(
                        test,
                        TenantSearchProgress(
                            chat: chat.map { Chat.Number($0) }, number: number, hits: hits, isFull: false))
                    let left = Set(all.map(\.place).prefix(expected)).union(hits.filter { $0 != gone })
                    let places = Array(left.sorted(by: >).prefix(49))
                    #expect(found.hits.map(\.place) == places, "\(String(describing: chat)) \(number)")
                    #expect(found.hasMore == (left.count > 49) && found.progress == nil)
                }
            }
        }
    }

    /// With too little time for all rows, each request comes further, and the last one has the page.
    @Test(arguments: BackendKind.allCases)
    func requestByRequestItComesToTheEnd(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            // 40 or 13 MB, which nothing reads in a few milliseconds; in several chats, and in one.
            let filler = String(repeating: "x", count: kind == .sqlite ? 60_000 : 20_000)
            let chats = [try await test.makeChat(), try await test.makeChat(), try await test.makeChat()]
            for (chat, count) in zip(chats, [300, 40, 300]) {
                for round in 0..<count / 20 {
                    try await test.send(
                        (0..<20).map { $0 == 7 ? "needle \(filler)" : filler }, to: chat,
                        at: TestBackend.time.adding(.seconds(round * 3)))
                }
            }
            let expected = try await Self.search(test, nil).hits.map(\.place)
            #expect(expected.count >= 16)
            func hurried(_ time: Duration) -> any MessageStore {
                switch test.backend.messages {
                case var store as SQLiteStore:
                    store.searchDeadline = time
                    return store
                case var store as MySQLStore:
                    store.searchDeadline = time
                    return store
                default: preconditionFailure("no such store")
                }
            }
            // As little as a row is read in, on this machine.
            var time = Duration.milliseconds(5)
            var (page, stops) = (TenantSearchPage(), 0)
            let query = SearchQuery(try SearchText("needle"))
            try await eventually("it comes to the end", within: 60) {
                do {
                    let hits = try await hurried(time).search(query, in: test.tenant, page: page)
                    guard let progress = hits.progress else {
                        // The bodies fill a page.
                        #expect(hits.hits.map(\.place) == Array(expected.prefix(hits.hits.count)) && !hits.hits.isEmpty)
                        return true
                    }
                    #expect(page.progress.map { $0.precedes(progress) } ?? true)
                    page.progress = progress
                    stops += 1
                } catch ChatError.searchTimedOut {
                    time *= 2
                } catch ChatError.unavailable {}  // The connections still read what the server sends.
                return false
            }
            #expect(stops > 0)
        }
    }
}
