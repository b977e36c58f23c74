import Logging

/// The search index of a store, opened for a command (`luciq search`, `luciq verify`).
package struct SearchUpkeep: Sendable {
    private static let chatsAtOnce = 256

    private let index: any SearchIndex
    private let messages: any MessageStore
    private let indexer: SearchIndexer
    /// For the upkeep of an engine.
    package let engineSource: EngineSource

    package init(_ store: some SearchIndex & MessageStore & MessageChanges & LogReaders & ChatLog & SearchGenerations) {
        self.engineSource = EngineSource(store)
        self.index = store
        self.messages = store
        var limits = SearchIndexLimits()
        limits.idleShare = 0
        limits.old = .zero
        self.indexer = SearchIndexer(
            index: store, messages: store, readers: store, log: store, limits: limits,
            logger: Logger(label: "luciq") { _ in SwiftLogNoOpLogHandler() })
    }

    package func status() async throws -> SearchStatus { try await index.searchStatus() }

    /// Compares all blocks with the rows that they cover.
    ///
    /// - Parameter progress: called now and then with messages compared, and messages in blocks.
    package func verify(
        progress: (_ compared: Int64, _ indexed: Int64) -> Void
    ) async throws -> SearchVerifier.Findings {
        let indexed = try await index.searchStatus().indexed
        let findings = try await SearchVerifier(index: index, messages: messages).verify {
            progress($0.messages, indexed)
        }
        progress(indexed, indexed)
        return findings
    }

    /// Drops the blocks of all chats, newest first, and makes them again. Searches are right meanwhile.
    ///
    /// - Parameter progress: called now and then with messages passed, and messages stored.
    package func rebuild(progress: (_ passed: Int64, _ messages: Int64) -> Void) async throws {
        let total = try await index.searchStatus().messages
        var (passed, last) = (Int64(0), Chat.ID?.none)
        while true {
            let chats = try await index.chats(below: last, limit: Self.chatsAtOnce)
            guard let lowest = chats.last else { break }
            last = lowest
            let ends = try await messages.lastNumbers(of: chats)
            for chat in chats {
                while try await index.dropBlocks(of: chat) { try Task.checkCancellation() }
                try await indexer.index(chat)
                passed += ends[chat, default: 0]
                progress(passed, max(total, passed))
            }
        }
        progress(total, total)
    }
}
