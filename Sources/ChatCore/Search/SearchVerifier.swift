/// Compares the search blocks with the rows that they cover.
package struct SearchVerifier: Sendable {
    private let index: any SearchIndex
    private let messages: any MessageStore

    package init(index: any SearchIndex, messages: any MessageStore) {
        self.index = index
        self.messages = messages
    }

    /// What was compared, and one sentence for each chat whose blocks differ from its rows.
    package struct Findings: Encodable, Sendable {
        package var chats: Int64 = 0
        package var blocks: Int64 = 0
        package var messages: Int64 = 0
        package var problems: [String] = []

        fileprivate mutating func add(_ block: SearchBlock) {
            guard problems.count < StoreReport.listedProblems else { return }
            let (first, last) = (block.span.lowerBound, block.span.upperBound)
            problems.append(
                "Chat id \(block.chat.rawValue): the search block of messages \(first) to \(last) differs from them")
        }
    }

    /// - Parameter progress: called after each page of chats.
    /// - Throws: `ChatError.unavailable`, `CancellationError`.
    package func verify(progress: (Findings) -> Void = { _ in }) async throws -> Findings {
        var (findings, last) = (Findings(), Chat.ID?.none)
        while true {
            let chats = try await index.chats(below: last, limit: 256)
            guard let lowest = chats.last else { return findings }
            last = lowest
            for chat in chats { try await verify(chat, &findings) }
            progress(findings)
        }
    }

    private func verify(_ chat: Chat.ID, _ findings: inout Findings) async throws {
        findings.chats += 1
        var covered: Int64 = 0
        while true {
            let outlines = try await index.outlines(of: chat, after: covered, limit: 256)
            guard let end = outlines.last?.span.upperBound else { return }
            for outline in outlines {
                try Task.checkCancellation()
                // A block that was replaced meanwhile is looked at again; one that is gone has no need to be.
                for attempt in 1...3 {
                    let head = try await index.heads(of: [chat])[chat]
                    guard let block = try await index.block(of: chat, at: outline.span.lowerBound) else { break }
                    let isRight = try await expected(block) == block && outline.isOwn
                    if isRight {
                        findings.blocks += 1
                        findings.messages += Int64(block.count)
                        break
                    }
                    guard try await index.heads(of: [chat])[chat] == head || attempt == 3 else { continue }
                    findings.add(block)
                    break
                }
            }
            covered = end
        }
    }

    /// The block that these rows make.
    private func expected(_ block: SearchBlock) async throws -> SearchBlock? {
        var builder = SearchBlockBuilder(block.chat, after: block.span.lowerBound - 1)
        while builder.last < block.span.upperBound {
            let entries = try await messages.entries(
                in: block.chat, after: builder.last, limit: StreamLimits.Size(messages: 256, bytes: Page.defaultBytes))
            let inside = entries.filter { $0.number.rawValue <= block.span.upperBound }
            guard !inside.isEmpty else { break }
            for entry in inside {
                let isIn = builder.append(
                    entry.last.rawValue <= block.span.upperBound
                        ? entry : LogEntry(voids: entry.number.rawValue...block.span.upperBound))
                if !isIn { return nil }
            }
        }
        return builder.block()
    }
}
