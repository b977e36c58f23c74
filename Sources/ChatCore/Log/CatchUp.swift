import Synchronization

/// Reads from the store for one reader, from its cursor until it reaches its chat's feed: one page each time the reader
/// asks, so that it holds one page however long the log is.
final class CatchUp: Sendable {
    private let chat: ReadChat
    private let source: StreamSource
    private let order: Mutex<LogOrder>
    /// The bytes of the last page, until the reader asks for something else.
    private let inHand = Atomic(0)

    init(in chat: ReadChat, after cursor: Int64, source: StreamSource) {
        self.chat = chat
        self.source = source
        self.order = Mutex(.ofOldMessages(after: cursor, limits: source.limits))
    }

    deinit { release() }

    /// The reader no longer holds the last page.
    func release() {
        if inHand.load(ordering: .relaxed) != 0 {
            source.readerReads.giveBack(inHand.exchange(0, ordering: .relaxed), of: chat.tenant)
        }
    }

    /// The reader holds these events, which it took from the feed.
    func hold(_ events: LiveEvents) {
        release()
        let bytes = events.writtenBytes
        source.readerReads.hold(bytes, of: chat.tenant)
        inHand.store(bytes, ordering: .relaxed)
    }

    /// The last number that was read, or is void.
    var position: Int64 { order.withLock(\.head) }

    /// The next messages; empty if there are none up to `goal`, or after `goesOn` returned false.
    ///
    /// - Parameters:
    ///   - start: the reader's position: the end of the last page, unless it has read from its feed since.
    ///   - goal: a number that the chat has reached.
    ///   - goesOn: checked at least every 250 ms while waiting.
    /// - Throws: `.notFound` if the chat no longer exists.
    func nextPage(
        after start: Int64, upTo goal: Int64, while goesOn: () -> Bool
    ) async throws(StreamEnd) -> [Message] {
        release()
        order.withLock { order in
            if order.head != start { order = .ofOldMessages(after: start, limits: source.limits) }
            order.see(goal, now: source.time.now())
        }
        while goesOn() {
            let now = source.time.now()
            guard let next = order.withLock(\.nextWork) else { return [] }
            if next > now {
                // A cancellation cuts it short, and `goesOn` returns false.
                try? await source.time.sleep(min(next, now + .milliseconds(250)))
                continue
            }
            guard let work = order.withLock({ $0.startWork(now: now) }) else { continue }
            let messages = try await read(work)
            if messages.isEmpty, position < goal { continue }
            return messages
        }
        return []
    }

    /// The next changes of what the reader has, up to the revision `goal`.
    ///
    /// - Returns: nil after `goesOn` returned false.
    func nextChanges(
        after cursor: Cursor, upTo goal: Int64, in numbers: NumberSpan, while goesOn: () -> Bool
    ) async throws(StreamEnd) -> ChangeWalk.Page? {
        release()
        while goesOn() {
            guard let pass = await source.readerReads.enter(chat.tenant) else { return nil }
            var bytes = 0
            defer { source.readerReads.leave(pass, keeping: bytes) }
            let page = try await source.changes(in: chat, after: cursor, upTo: goal, in: numbers, pass.size)
            if let page, page.revision > cursor.revision ?? 0 {
                bytes = page.events.reduce(0) { $0 + $1.writtenBytes }
                inHand.store(bytes, ordering: .relaxed)
                return page
            }
            // The store has failed, or lags. A cancellation cuts it short, and `goesOn` returns false.
            try? await source.time.sleep(source.time.now() + .milliseconds(250))
        }
        return nil
    }

    /// - Returns: the messages that are next.
    private func read(_ work: LogOrder.Work) async throws(StreamEnd) -> [Message] {
        let pass = await source.readerReads.enter(chat.tenant)
        var bytes = 0
        defer { if let pass { source.readerReads.leave(pass, keeping: bytes) } }
        var finding = LogOrder.Finding.failure
        // The reader may have left when its turn came.
        if let pass, !Task.isCancelled { finding = try await source.carryOut(work, for: chat, limit: pass.size) }
        let messages = order.withLock {
            $0.finish(finding, now: source.time.now(), clock: source.clock.now())
        }
        bytes = messages.reduce(0) { $0 + $1.writtenBytes }
        inHand.store(bytes, ordering: .relaxed)
        return messages
    }
}

extension LogOrder {
    /// For messages that the bus does not publish: the first read is due at once, and messages above a gap are read
    /// again.
    static func ofOldMessages(after number: Int64, limits: StreamLimits) -> LogOrder {
        var patience = limits.gaps
        patience.look = .zero
        return LogOrder(after: number, patience: patience, bounds: StreamLimits.Size(messages: 0, bytes: 0))
    }
}
