import Synchronization

/// One reader's way from its cursor up to where its chat's feed is: from the store, a page each time the reader asks, so
/// that it holds no more than a page however long the way is.
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

    /// The last page is in hand no more.
    func release() {
        if inHand.load(ordering: .relaxed) != 0 {
            source.readerReads.giveBack(inHand.exchange(0, ordering: .relaxed), of: chat.tenant)
        }
    }

    /// The reader was given these elsewhere.
    func hold(_ messages: [Message]) {
        release()
        let bytes = messages.reduce(0) { $0 + $1.writtenBytes }
        source.readerReads.hold(bytes, of: chat.tenant)
        inHand.store(bytes, ordering: .relaxed)
    }

    /// The last number it has come up to.
    var position: Int64 { order.withLock(\.head) }

    /// The next messages; none when there are none up to `goal`, or when it was told to end.
    ///
    /// - Parameters:
    ///   - start: where the reader is: where the last page ended, unless it has lived on its feed since.
    ///   - goal: a number that the chat is known to have reached.
    ///   - goesOn: asked now and then.
    /// - Throws: `.notFound` for a chat that is gone.
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
                // Cut short by a cancellation, which is asked about above.
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

    /// - Returns: the messages whose turn it is now.
    private func read(_ work: LogOrder.Work) async throws(StreamEnd) -> [Message] {
        let pass = await source.readerReads.enter(chat.tenant)
        var bytes = 0
        defer { if let pass { source.readerReads.leave(pass, keeping: bytes) } }
        var finding = LogOrder.Finding.failure
        // Its turn may have come as its reader left.
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
    /// Of messages that nothing tells of: the first read is due at once, and what lies beyond a gap is read again.
    static func ofOldMessages(after number: Int64, limits: StreamLimits) -> LogOrder {
        var patience = limits.gaps
        patience.look = .zero
        return LogOrder(after: number, patience: patience, bounds: StreamLimits.Size(messages: 0, bytes: 0))
    }
}
