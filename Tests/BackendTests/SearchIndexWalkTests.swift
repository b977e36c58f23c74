import Logging
import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// The indexer's walk of all chats, when something fails.
@Suite(.timeLimit(.minutes(3))) struct SearchIndexWalkTests {
    /// A walk goes on where it has failed.
    @Test(arguments: SearchBlockTests.kinds)
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
