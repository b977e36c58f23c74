import Metrics
import Synchronization

/// One reader of one chat: every message after its cursor, once, in number order; and, if it wants them, all changes of
/// what it has, in their state now.
package final class ChatSubscription: Sendable {
    /// What a reader can take now.
    package enum Taken: Sendable {
        /// - Parameter isLast: whether the reader is up to date after it.
        case page(LivePage, isLast: Bool)
        /// The reader is up to date.
        case nothing
        /// The next events must be read from the store: call `next`.
        case behind
        /// The subscription has ended; all later calls answer the same.
        case ended(StreamEnd)
    }

    /// Where it starts: the given cursor, or the head when it joined. It has a revision if it reads changes.
    package let cursor: Cursor

    private let id: LiveWindow.ReaderID
    private let feed: Feed
    private let catchUp: CatchUp
    private let metrics: StreamMetrics
    private let onEnd: @Sendable () -> Void
    /// What it is told first.
    private let greeting = Mutex<[Signal]>([])
    /// Whom it watches, beside the chat.
    private let presence = Mutex<PresenceWatch?>(nil)

    init(
        _ id: LiveWindow.ReaderID, of feed: Feed, after cursor: Cursor, source: StreamSource,
        onEnd: @escaping @Sendable () -> Void
    ) {
        self.id = id
        self.feed = feed
        self.cursor = cursor
        self.catchUp = CatchUp(in: feed.identity, after: cursor.number, source: source)
        self.metrics = source.metrics
        self.onEnd = onEnd
    }

    deinit {
        feed.forget(id)
        onEnd()
    }

    /// The next events: at least one, at most 256 or about 1 MiB of them. Waits until there are any, also during an
    /// outage of the store. Call it again only after it has returned; new messages are kept meanwhile, up to a bound.
    ///
    /// - Throws: after the subscription has ended, the same error each time. Cancelling the task ends it.
    package func next() async throws(StreamEnd) -> LiveEvents {
        if let greeting = takeGreeting() { return greeting }
        let result: Result<LiveEvents, StreamEnd> = await withTaskCancellationHandler {
            do throws(StreamEnd) {
                return .success(try await feed.next(id, catchUp))
            } catch {
                return .failure(error)
            }
        } onCancel: {
            cancel()
        }
        let events = try result.get()
        metrics.delivered.increment(by: events.count)
        return events
    }

    /// Like `next`, but without waiting. Do not call it during a call of `next`.
    ///
    /// - Parameter wake: called once, on any thread, when there is something to take or the subscription has ended.
    ///   Kept only if the reader is up to date; it may be called before this returns.
    package func take(orWake wake: @escaping @Sendable () -> Void) -> Taken {
        catchUp.release()
        if let greeting = takeGreeting() { return .page(LivePage(greeting), isLast: false) }
        let seen = presence.withLock(\.self)?.take(orWake: wake) ?? []
        if !seen.isEmpty {
            return .page(LivePage(LiveEvents(.signals(seen.map { .presence($0) }), after: cursor)), isLast: false)
        }
        let taken = feed.take(id, orWake: wake)
        if case .page(let page, _) = taken { metrics.delivered.increment(by: page.events.count) }
        return taken
    }

    /// Tells of users, too. Those who call `next` alone are not told.
    func watch(_ presence: PresenceWatch) { self.presence.withLock { $0 = presence } }

    /// Has signals of now come before everything else.
    func greet(with signals: [Signal]) { greeting.withLock { $0 += signals } }

    private func takeGreeting() -> LiveEvents? {
        let signals = greeting.withLock { greeting in
            defer { greeting = [] }
            return greeting
        }
        return signals.isEmpty ? nil : LiveEvents(.signals(signals), after: cursor)
    }

    /// Ends the subscription, as its deinit does.
    package func cancel() { feed.end(id, .cancelled) }
}
