import Logging
import MySQLClient
import ServiceLifecycle
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// The search blocks of a cluster: what several processes do to them, and what the server does with them.
@Suite(.timeLimit(.minutes(3))) struct SearchBlockTests {
    static let start = WallClock.system.now()

    /// One that leaves nothing in rows which may be in a block.
    func indexer(_ test: TestCluster, at time: Timestamp = start) -> SearchIndexer {
        var limits = SearchIndexLimits()
        limits.smallest = 1
        return SearchIndexer(
            index: test.store, messages: test.store, readers: test.store, log: test.store, limits: limits,
            clock: WallClock { time }, logger: TestCluster.logger)
    }

    func send(_ bodies: [String], to chat: Chat.ID, _ test: TestCluster) async throws {
        for body in bodies {
            let new = NewMessage(tenant: test.tenant, chat: chat, body: body)
            _ = try await test.store.append([new], at: TestCluster.time)[0].get()
        }
    }

    /// Bodies of which eight fill a block.
    func long(_ words: some Sequence<String>) -> [String] {
        words.map { $0 + String(repeating: " filler", count: 600) }
    }

    func found(
        _ text: String, _ test: TestCluster, _ page: Page = Page(), in chat: Chat.ID? = nil
    ) async throws -> [Int64] {
        let query = SearchQuery(try SearchText(text))
        return try await test.store.search(query, in: chat ?? test.chat, page: page).items.map(\.number.rawValue)
    }

    func spans(_ test: TestCluster, of chat: Chat.ID? = nil) async throws -> [ClosedRange<Int64>] {
        try await test.store.outlines(of: chat ?? test.chat, after: 0, limit: 1000).map(\.span)
    }

    func head(_ test: TestCluster) async throws -> SearchHead {
        try await test.store.heads(of: [test.chat])[test.chat] ?? SearchHead()
    }

    func problems(_ test: TestCluster) async throws -> [String] {
        try await SearchVerifier(index: test.store, messages: test.store).verify().problems
    }

    private func edit(_ number: Int64, to body: String, _ test: TestCluster) async throws {
        try await test.store.writes.withConnection { [chat = test.chat] connection in
            try connection.transaction { connection in
                try connection.execute(
                    "UPDATE messages SET body = ? WHERE chat_id = ? AND number = ?",
                    [.text(body), .integer(chat.rawValue), .integer(number)])
                try MySQLStore.dropBlock(covering: number, of: chat, connection)
            }
        }
    }

    private func block(_ test: TestCluster, after number: Int64 = 0) async throws -> SearchBlock {
        var builder = SearchBlockBuilder(test.chat, after: number)
        let limit = StreamLimits.Size(messages: 100, bytes: 1 << 20)
        for entry in try await test.store.entries(in: test.chat, after: number, limit: limit) {
            _ = builder.append(entry)
        }
        return try #require(builder.block())
    }

    @Test func aBlockOfOlderRowsIsNotStored() async throws {
        try await TestCluster.run { test in
            try await send(["one", "two", "three"], to: test.chat, test)
            let (head, block) = (try await head(test), try await block(test))
            try await edit(2, to: "second", test)
            #expect(try await !test.store.store(block, at: head))
            #expect(try await spans(test) == [])
            #expect(try await found("second", test) == [2])
            let current = try await self.head(test)
            let again = try await self.block(test)
            #expect(try await test.store.store(again, at: current))
            #expect(try await spans(test) == [1...3])
            #expect(try await found("two", test) == [])
            #expect(try await found("second", test) == [2])
            #expect(try await problems(test) == [])
        }
    }

    /// An edit may have read before a block was stored; its snapshot does not have it.
    @Test func anEditDropsABlockThatIsNewerThanItsSnapshot() async throws {
        try await TestCluster.run { test in
            try await send(["one", "two"], to: test.chat, test)
            let block = try await self.block(test)
            let editor = try await MySQLConnection.connect(test.configuration.mysql)
            let bodies = "SELECT COUNT(*) FROM messages CROSS JOIN search_blocks"
            try await editor.perform { editor in
                try editor.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                try editor.run("START TRANSACTION")
                _ = try editor.first(bodies) { $0.integer(0) }
            }
            #expect(try await test.store.store(block, at: SearchHead()))
            try await editor.perform { [chat = test.chat] editor in
                try editor.execute("UPDATE messages SET body = 'second' WHERE number = 2")
                try MySQLStore.dropBlock(covering: 2, of: chat, editor)
                try editor.run("COMMIT")
            }
            await editor.close()
            #expect(try await spans(test) == [])
            #expect(try await found("second", test) == [2])
        }
    }

    /// An edit that is not committed yet is waited for.
    @Test func aBlockWaitsForAnEditInFlight() async throws {
        let server = try await MariaDBServer.start()
        try await TestCluster.run(TestCluster.configuration(mysql: server.url())) { test in
            try await send(["one", "two"], to: test.chat, test)
            let first = try await self.block(test)
            #expect(try await test.store.store(first, at: SearchHead()))
            try await send(["three"], to: test.chat, test)
            let (head, block) = (try await head(test), try await block(test))
            #expect(head.indexedTo == 2)
            let editor = try await MySQLConnection.connect(test.configuration.mysql)
            try await editor.perform { [chat = test.chat] editor in
                try editor.run("START TRANSACTION")
                try editor.execute("UPDATE messages SET body = 'first' WHERE number = 1")
                try MySQLStore.dropBlock(covering: 1, of: chat, editor)
            }
            async let isStored = test.store.store(block, at: head)
            try await eventually("the block waits") {
                try await !server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'").hasSuffix("\t0")
            }
            try await editor.perform { try $0.run("COMMIT") }
            #expect(try await !isStored)
            #expect(try await spans(test) == [])
            #expect(try await found("first", test) == [1])
            #expect(try await found("one", test) == [])
            await editor.close()
        }
    }

    @Test func anEditDropsOnlyTheBlockThatCoversIt() async throws {
        try await TestCluster.run { test in
            try await send(long((1...30).map { "word\($0)." }), to: test.chat, test)
            try await indexer(test).walk()
            let spans = try await spans(test)
            #expect(spans.count >= 3 && spans.last?.upperBound == 30)
            try await edit(spans[1].lowerBound + 1, to: "edited", test)
            #expect(try await self.spans(test) == [spans[0]] + spans[2...])
            #expect(try await found("edited", test) == [spans[1].lowerBound + 1])
            #expect(try await found("filler", test, Page(limit: 1000)).count == 29)
            #expect(try await found("word30", test, Page(order: .desc)) == [30])
            try await indexer(test).walk()
            #expect(try await self.spans(test).map(\.count).reduce(0, +) == 30)
            #expect(try await found("edited", test) == [spans[1].lowerBound + 1])
            #expect(try await problems(test) == [])
        }
    }

    /// If a new block cannot be stored, the old one stays.
    @Test func blocksAreReplacedInOneTransaction() async throws {
        try await TestCluster.run { test in
            try await send(["one"], to: test.chat, test)
            try await indexer(test).walk()
            try await send(["two"], to: test.chat, test)
            try await test.sql(
                "CREATE TRIGGER refuse BEFORE INSERT ON search_blocks FOR EACH ROW SIGNAL SQLSTATE '45000'")
            let (head, block) = (try await head(test), try await block(test))
            await #expect(throws: ChatError.self) { try await test.store.store(block, at: head) }
            #expect(try await spans(test) == [1...1])
            try await test.sql("DROP TRIGGER refuse")
            #expect(try await test.store.store(block, at: head))
            #expect(try await spans(test) == [1...2])
        }
    }

    @Test func allBlocksAreDroppedInSteps() async throws {
        try await TestCluster.run { test in
            try await test.sql(
                """
                INSERT INTO search_blocks SELECT ?, seq, seq, ?, ?, 0, NOW(6), NOW(6), '', '', '' FROM seq_1_to_70
                """,
                [.integer(test.chat.rawValue), .integer(test.tenant.rawValue), .integer(SearchBlock.version)])
            try await test.sql("INSERT INTO search_heads VALUES (?, 70, 3)", [.integer(test.chat.rawValue)])
            #expect(try await test.store.dropBlocks(of: test.chat))
            #expect(try await spans(test).count == 6)
            #expect(try await !test.store.dropBlocks(of: test.chat))
            #expect(try await spans(test) == [])
            #expect(try await head(test) == SearchHead(indexedTo: 0, edits: 5))
        }
    }

    @Test func anUnknownChatHasNoBlocks() async throws {
        try await TestCluster.run { test in
            try await send(["one"], to: test.chat, test)
            let known = try await block(test)
            let block = SearchBlock(
                chat: Chat.ID(test.chat.rawValue + 1), span: known.span, count: known.count, oldestAt: known.oldestAt,
                newestAt: known.newestAt, numbers: known.numbers, times: known.times,
                folded: known.folded)
            #expect(try await !test.store.store(block, at: SearchHead()))
            #expect(try await test.sql("SELECT COUNT(*) FROM search_heads") == [[0]])
        }
    }

    /// Nothing above a number that may still come is indexed, so whatever comes late is found.
    @Test func nothingAboveAGapIsIndexed() async throws {
        try await TestCluster.run { test in
            try await test.insert(number: 1)
            try await test.insert(number: 3)
            try await indexer(test).walk()
            #expect(try await spans(test) == [1...1])
            #expect(try await found("theirs", test) == [1, 3])
            try await test.insert(number: 2)
            #expect(try await found("theirs", test) == [1, 2, 3])
            try await indexer(test).walk()
            #expect(try await spans(test).last?.upperBound == 3)
            #expect(try await found("theirs", test) == [1, 2, 3])
            #expect(try await problems(test) == [])
        }
    }

    /// A gap that is old enough is void, and nothing can fill it any more.
    @Test func anOldGapIsVoidAndCovered() async throws {
        try await TestCluster.run { test in
            try await test.insert(number: 1)
            try await test.insert(number: 4)
            try await indexer(test, at: Self.start.adding(.seconds(600))).walk()
            #expect(try await spans(test) == [1...4])
            let block = try #require(try await test.store.block(of: test.chat, at: 1))
            #expect(block.count == 2 && !block.numbers.isEmpty)
            await #expect(throws: MySQLError.self) { try await test.insert(number: 2) }
            #expect(try await found("theirs", test) == [1, 4])
            #expect(try await found("theirs", test, Page(after: 1)) == [4])
            #expect(try await found("theirs", test, Page(before: 4)) == [1])
            #expect(try await problems(test) == [])
        }
    }

    /// The Rails application leaves no record of its rows: the walk finds them.
    @Test func rowsOfTheRailsApplicationAreIndexed() async throws {
        try await TestCluster.run { test in
            try await test.insert(number: 1)
            #expect(try await test.store.changedChats() == [])
            #expect(try await found("theirs", test) == [1])
            try await indexer(test).walk()
            #expect(try await spans(test) == [1...1])
            try await test.send(1)
            #expect(try await test.store.changedChats() == [test.chat])
        }
    }

    /// Changes are read as a whole every 30 seconds, and only the last few seconds of them in between.
    @Test func recentChangesAreRemembered() {
        let (changes, time, second) = (RecentChanges(), Int64(1_000_000_000), Int64(1_000_000))
        #expect(changes.start(at: time) == time - LogChanges.overlap)
        changes.see([7])
        #expect(changes.start(at: time + 2 * second) == time - 10 * second)
        changes.see([8])
        #expect(changes.start(at: time + 29 * second) == time - 8 * second)
        #expect(changes.chats == [7, 8])
        #expect(changes.start(at: time + 30 * second) == time + 30 * second - LogChanges.overlap)
        #expect(changes.chats == [])
        changes.see([9])
        // The database's clock was set back.
        #expect(changes.start(at: time) == time - LogChanges.overlap)
        #expect(changes.chats == [])
    }

    /// Several processes index the same chats while these grow and are edited.
    @Test func indexersMayRunSideBySide() async throws {
        try await TestCluster.run { test in
            var chats = [test.chat]
            for _ in 0..<2 { chats.append(try await test.anotherChat()) }
            for chat in chats { try await send(long(["a", "b", "c", "d"]), to: chat, test) }
            try await withThrowingTaskGroup(of: Void.self) { [chats] tasks in
                for _ in 0..<3 { tasks.addTask { for _ in 0..<5 { try await indexer(test).walk() } } }
                tasks.addTask {
                    for round in 0..<4 {
                        for chat in chats { try await send(long(["r\(round)", "s"]), to: chat, test) }
                        try await edit(Int64(round + 1), to: "edited\(round)", test)
                    }
                }
                try await tasks.waitForAll()
            }
            #expect(try await problems(test) == [])
            try await indexer(test).walk()
            for chat in chats {
                let spans = try await spans(test, of: chat)
                #expect(spans.first?.lowerBound == 1)
                #expect(zip(spans, spans.dropFirst()).allSatisfy { $0.upperBound + 1 == $1.lowerBound })
            }
            #expect(try await problems(test) == [])
            #expect(try await found("filler", test, in: chats[1]).count == 12)
            #expect(try await found("filler", test).count == 8)
            for round in 0..<4 { #expect(try await found("edited\(round)", test) == [Int64(round + 1)]) }
        }
    }

    /// A worker indexes; a server does not.
    @Test func aWorkerIndexes() async throws {
        try await TestCluster.run { test in
            let limits = SearchIndexLimits()
            try await test.send(limits.smallest)
            let jobs = try await ClusterJobs(test.configuration, logger: TestCluster.logger)
            let group = ServiceGroup(
                configuration: ServiceGroupConfiguration(services: jobs.services, logger: TestCluster.logger))
            async let running: Void = group.run()
            try await eventually("the chat is indexed") { try await spans(test) == [1...Int64(limits.smallest)] }
            await group.triggerGracefulShutdown()
            try await running
            let backend = try await Backend.cluster(test.configuration, logger: TestCluster.logger)
            #expect(!backend.services.contains { $0 is SearchIndexer })
        }
    }
}
