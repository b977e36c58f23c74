import Metrics

/// One reader of one chat: every message after its cursor, once, in number order.
package final class ChatSubscription: Sendable {
    /// What there is for a reader just now.
    package enum Taken: Sendable {
        /// - Parameter isLast: whether everything was given with it.
        case page(MessagePage, isLast: Bool)
        /// Everything was given to it.
        case nothing
        /// The messages are to be read from the store: `next` does that.
        case behind
        /// The same for ever.
        case ended(StreamEnd)
    }

    /// Where it starts: the cursor that was given, or that of the highest number when it joined.
    package let cursor: Cursor

    private let id: LiveWindow.ReaderID
    private let feed: Feed
    private let catchUp: CatchUp
    private let metrics: StreamMetrics
    private let onEnd: @Sendable () -> Void

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

    /// The next messages: at least one, at most 256 or about 1 MiB of them. Waits until there are any, also while the store
    /// is away. To be called again only when it has returned; what is new meanwhile waits here, up to a bound.
    ///
    /// - Throws: once it has ended, the same for ever. Cancelling the task ends it.
    package func next() async throws(StreamEnd) -> [Message] {
        let result: Result<[Message], StreamEnd> = await withTaskCancellationHandler {
            do throws(StreamEnd) {
                return .success(try await feed.next(id, catchUp))
            } catch {
                return .failure(error)
            }
        } onCancel: {
            cancel()
        }
        let messages = try result.get()
        metrics.delivered.increment(by: messages.count)
        return messages
    }

    /// As `next`, for who cannot wait. Not to be called while `next` is waited for.
    ///
    /// - Parameter wake: called once, on any thread, when there is something to take or the subscription has ended. Only when
    ///   everything was given; it may be called before this returns.
    package func take(orWake wake: @escaping @Sendable () -> Void) -> Taken {
        catchUp.release()
        let taken = feed.take(id, orWake: wake)
        if case .page(let page, _) = taken { metrics.delivered.increment(by: page.messages.count) }
        return taken
    }

    /// Ends it, as letting go of it does.
    package func cancel() { feed.end(id, .cancelled) }
}
