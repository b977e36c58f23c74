import Logging
import TestSupport
import Testing

@testable import ChatCore

/// Searches find through blocks what they find in the rows, whatever has happened to both.
@Suite(.timeLimit(.minutes(3))) struct SearchBlockTests {
    static let kinds = BackendKind.allCases

    static func indexer(
        _ test: TestBackend, _ limits: SearchIndexLimits = SearchIndexLimits(),
        at now: Timestamp = WallClock.system.now()
    ) throws -> SearchIndexer {
        SearchIndexer(
            index: test.backend.searchIndex, messages: test.backend.messages,
            readers: test.backend.readers, log: test.backend.chatLog, limits: limits, clock: WallClock { now },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
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

    /// The verifier names a block that differs from its rows.
    @Test(arguments: kinds)
    func theVerifierSeesADifference(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let index = test.backend.searchIndex
            // The backend's own indexer may walk between the two: one message is too few for a block.
            try await test.send(["m1"], to: chat)
            try await test.send((2...40).map { "m\($0)" }, to: chat, at: TestBackend.time.adding(.seconds(1)))
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
