/// Finds messages and changes that the bus missed: polls the store for the head of each chat.
extension Hub {
    /// The interval while the bus is down, and for chats to which it is not subscribed.
    private static let often = Duration.seconds(1)
    /// After this many intervals all chats are polled: if a publisher fails to send a chat's last message, no gap shows
    /// the loss.
    private static let seldom = 5
    /// Chats a query.
    private static let chatsAtOnce = 256

    /// Polls until the task is cancelled.
    func keepLooking() async {
        var (rounds, owesAll) = (0, false)
        while !Task.isCancelled {
            try? await source.time.sleep(source.time.now() + Self.often)  // Cut short by the shutdown.
            endOldEpochs()
            if Task.isCancelled || bus.hearing == .everything { continue }
            rounds += 1
            let looksAtAll = owesAll || bus.hearing == .nothing || rounds.isMultiple(of: Self.seldom)
            if looksAtAll { owesAll = !(await lookAtAll()) } else { await look(at: feeds.filter { !$0.isHeard }) }
        }
    }

    /// - Returns: whether the store answered all queries.
    @discardableResult
    func lookAtAll() async -> Bool { await look(at: feeds) }

    @discardableResult
    private func look(at feeds: [Feed]) async -> Bool {
        // Subscribe first, then poll, so that no message is missed in between.
        if bus.hearing != .nothing {
            for attempt in feeds.filter({ !$0.isHeard }).compactMap(subscribeAgain) { await attempt.value }
        }
        var isComplete = true
        for start in stride(from: 0, to: feeds.count, by: Self.chatsAtOnce) {
            let some = feeds[start..<min(start + Self.chatsAtOnce, feeds.count)]
            do {
                let highest = try await source.messages.lastNumbers(of: some.map(\.chat))
                let revisions = try await source.changes.heads(of: some.map(\.chat))
                for feed in some { feed.see(Cursor(highest[feed.chat] ?? 0, revision: revisions[feed.chat])) }
            } catch {
                // The store logs its failures.
                isComplete = false
            }
        }
        return isComplete
    }
}
