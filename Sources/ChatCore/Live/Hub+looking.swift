/// What the bus may have missed: the store is asked for its highest numbers.
extension Hub {
    /// While the bus hears nothing, and for chats that it does not hear.
    private static let often = Duration.seconds(1)
    /// Otherwise, in so many of these: a message that its publisher could not send was missed by nobody's notice.
    private static let seldom = 5
    /// Chats a query.
    private static let chatsAtOnce = 256

    /// Asks now and then, until the task is cancelled.
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

    /// - Returns: whether the store has answered.
    @discardableResult
    func lookAtAll() async -> Bool { await look(at: feeds) }

    @discardableResult
    private func look(at feeds: [Feed]) async -> Bool {
        // First to hear, then to look: nothing falls in between.
        if bus.hearing != .nothing {
            for attempt in feeds.filter({ !$0.isHeard }).compactMap(subscribeAgain) { await attempt.value }
        }
        var isComplete = true
        for start in stride(from: 0, to: feeds.count, by: Self.chatsAtOnce) {
            let some = feeds[start..<min(start + Self.chatsAtOnce, feeds.count)]
            do {
                let highest = try await source.messages.lastNumbers(of: some.map(\.chat))
                for feed in some { feed.see(highest[feed.chat] ?? 0) }
            } catch {
                // The store says what is wrong with it.
                isComplete = false
            }
        }
        return isComplete
    }
}
