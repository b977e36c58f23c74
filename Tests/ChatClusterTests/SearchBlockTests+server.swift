import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// What the database's server does with blocks.
extension SearchBlockTests {
    /// Texts that the server looks for by `REGEXP` and by `LOCATE`, with characters that mean something to either.
    private static let texts = [
        "quixotic", "Quíxotic", "x", "axb", "a.*b", "(?<=x)", "[x]", "\\x", "\\x41", "x\\E", "$^|x", "%", "_", "'\"`",
        "x y",
        "e", "ee", "theesea", "seat", "банк", "БАНК", "к", "한국", "🙂", "ß", "x🙂", "🙂x", "vvzx",
    ]

    private static let absent = ["no such text", "vvzy", "theezea"]

    /// The answer does not depend on what is in blocks.
    @Test func blocksAnswerLikeRows() async throws {
        try await TestCluster.run { test in
            let other = try await test.anotherChat()
            for chat in [test.chat, other] {
                let words = (Self.texts + Self.texts.reversed()).map { $0 + " thesea eseat" }
                for part in words.chunks(of: 8) {
                    try await send(Array(part) + long(["filler"]), to: chat, test)
                }
            }
            let pages = [
                Page(), Page(order: .desc), Page(limit: 3), Page(limit: 2, after: 20), Page(limit: 2, before: 40),
                Page(after: 9, before: 50), Page(limit: 4, after: 9, before: 50, order: .desc),
            ]
            func answers() async throws -> [[Int64]] {
                var answers: [[Int64]] = []
                for text in Self.texts + Self.absent {
                    for page in pages { answers.append(try await found(text, test, page)) }
                }
                return answers
            }
            let rows = try await answers()
            let tenantRows = try await tenantAnswers(test)
            #expect(rows.filter { $0 == [] }.count < rows.count / 2)
            #expect(tenantRows.filter { $0 == [] }.count == Self.absent.count)
            try await indexer(test).walk()
            #expect(try await spans(test, of: other) != [])
            try await splitBlocks(test)
            #expect(try await spans(test).count > SearchBlockScan.first)
            #expect(try await problems(test) == [])
            #expect(try await answers() == rows)
            #expect(try await tenantAnswers(test) == tenantRows)
            // Holes in the middle and at both ends.
            for number in [1, 9, 10, 30] as [Int64] {
                try await test.store.writes.withConnection { [chat = test.chat] connection in
                    try connection.transaction { try MySQLStore.dropBlock(covering: number, of: chat, $0) }
                }
            }
            #expect(try await answers() == rows)
            #expect(try await tenantAnswers(test) == tenantRows)
        }
    }

    /// Makes a block of each two messages, as an older `SearchBlock.size` might have.
    private func splitBlocks(_ test: TestCluster) async throws {
        let last = try await test.store.lastNumbers(of: [test.chat])[test.chat, default: 0]
        for first in stride(from: Int64(1), through: last, by: 2) {
            var builder = SearchBlockBuilder(test.chat, after: first - 1)
            let limit = StreamLimits.Size(messages: 2, bytes: 1 << 20)
            for entry in try await test.store.entries(in: test.chat, after: first - 1, limit: limit) {
                _ = builder.append(entry)
            }
            if first == 1 { while try await test.store.dropBlocks(of: test.chat) {} }
            let (block, head) = (try #require(builder.block()), try await head(test))
            #expect(try await test.store.store(block, at: head))
        }
    }

    /// What each text finds across the application, page by page.
    private func tenantAnswers(_ test: TestCluster) async throws -> [[SearchPlace]] {
        var answers: [[SearchPlace]] = []
        for text in Self.texts + Self.absent {
            var places: [SearchPlace] = []
            var page = TenantSearchPage(limit: 7)
            while true {
                let hits = try await test.store.search(SearchQuery(SearchText(text)), in: test.tenant, page: page)
                places += hits.hits.map(\.place)
                guard hits.hasMore, let last = places.last else { break }
                page.before = last
            }
            #expect(places == places.sorted(by: >) && Set(places).count == places.count)
            answers.append(places)
        }
        return answers
    }

    /// A server that does not answer in time ends the statement itself, and the search with it.
    @Test func theServerHasATimeLimitToo() async throws {
        try await TestCluster.run { test in
            try await send(["one", "two"], to: test.chat, test)
            try await indexer(test).walk()
            let other = try await MySQLConnection.connect(test.configuration.mysql)
            try await other.perform { try $0.run("LOCK TABLES search_blocks WRITE") }
            await #expect(throws: ChatError.searchTimedOut(passed: nil)) { _ = try await found("two", test) }
            await #expect(throws: ChatError.searchTimedOut(passed: nil)) {
                _ = try await test.store.search(
                    SearchQuery(SearchText("two")), in: test.tenant, page: TenantSearchPage())
            }
            try await other.perform { try $0.run("UNLOCK TABLES") }
            await other.close()
            #expect(try await found("two", test) == [2])
        }
    }

    /// Whoever leaves ends the search: what the server is at ends at its own time limit, and the connection is used again.
    @Test func aSearchThatIsCancelledLeavesNothingInTheServer() async throws {
        let server = try await MariaDBServer.start()
        try await TestCluster.run(TestCluster.configuration(mysql: server.url())) { test in
            try await send(["one", "two"], to: test.chat, test)
            try await indexer(test).walk()
            #expect(try await found("two", test) == [2])
            let connections = test.store.scans.open
            let other = try await MySQLConnection.connect(test.configuration.mysql)
            try await other.perform { try $0.run("LOCK TABLES search_blocks WRITE") }
            // It is not this statement itself, nor the one that holds the lock.
            let running = """
                SELECT COUNT(*) FROM information_schema.processlist
                WHERE info LIKE '%search_blocks%' AND info NOT LIKE '%processlist%'
                """
            let searches = [
                Task { _ = try await found("two", test) },
                Task {
                    _ = try await test.store.search(
                        SearchQuery(SearchText("two")), in: test.tenant, page: TenantSearchPage())
                },
            ]
            try await eventually("the server searches") { try await server.sql(running) == "2" }
            for search in searches { search.cancel() }
            // Nothing but its limit ends them: the lock is held on.
            try await eventually("the server has stopped") { try await server.sql(running) == "0" }
            for search in searches { await #expect(throws: CancellationError.self) { try await search.value } }
            try await other.perform { try $0.run("UNLOCK TABLES") }
            await other.close()
            #expect(try await found("two", test) == [2])
            #expect(test.store.scans.inUse == 0 && test.store.scans.open <= max(connections, 2))
        }
    }

    /// Blocks of another version of the fold are not read, and replaced.
    @Test func otherVersionsAreRowsUntilTheyAreReplaced() async throws {
        try await TestCluster.run { test in
            try await send(["one", "two"], to: test.chat, test)
            try await indexer(test).walk()
            try await test.sql("UPDATE search_blocks SET fold_version = fold_version + 1, folded = 'x'")
            #expect(try await found("two", test) == [2])
            let hits = try await test.store.search(
                SearchQuery(SearchText("two")), in: test.tenant, page: TenantSearchPage())
            #expect(hits.hits.map(\.message.number.rawValue) == [2])
            try await indexer(test).walk()
            #expect(try await spans(test) == [1...2])
            #expect(try await test.sql("SELECT COUNT(*) FROM search_blocks") == [[1]])
            #expect(try await found("two", test) == [2])
        }
    }

    /// What the server does not take in a statement stays in rows, and stops nothing.
    @Test func aBlockThatIsTooLargeIsLeftOut() async throws {
        let server = try await MariaDBServer.start(["--max-allowed-packet=16384"])
        try await TestCluster.run(TestCluster.configuration(mysql: server.url())) { test in
            let other = try await test.anotherChat()
            try await send(long((1...10).map { "word\($0)." }), to: other, test)
            try await send(["one"], to: test.chat, test)
            try await indexer(test).walk()
            #expect(try await spans(test) == [1...1])
            #expect(try await spans(test, of: other).count <= 1)
            #expect(try await found("word7", test, in: other) == [7])
        }
    }
}
