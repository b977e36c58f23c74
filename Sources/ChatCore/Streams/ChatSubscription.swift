import Metrics

/// One reader of one chat: every message after its cursor, once, in number order.
package final class ChatSubscription: Sendable {
    /// Where it starts: the cursor that was given, or the number that was the highest when it joined.
    package let cursor: Int64

    private let id: LiveWindow.ReaderID
    private let feed: Feed
    private let catchUp: CatchUp
    private let metrics: StreamMetrics
    private let onEnd: @Sendable () -> Void

    init(
        _ id: LiveWindow.ReaderID, of feed: Feed, after cursor: Int64, source: StreamSource,
        onEnd: @escaping @Sendable () -> Void
    ) {
        self.id = id
        self.feed = feed
        self.cursor = cursor
        self.catchUp = CatchUp(in: feed.chat, after: cursor, source: source)
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
        try await deliver { () async throws(StreamEnd) in try await feed.next(id, catchUp) }
    }

    /// As `next`, but gives none where that would wait for new messages. For who reads many chats and can hold the messages
    /// of a few: `waitForNews`, then its turn, then this.
    package func poll() async throws(StreamEnd) -> [Message] {
        try await deliver { () async throws(StreamEnd) in try await feed.poll(id, catchUp) }
    }

    /// Returns when `poll` has something to do, or has come to the end.
    package func waitForNews() async {
        await withTaskCancellationHandler {
            await feed.wait(id)
        } onCancel: {
            cancel()
        }
    }

    private func deliver(
        _ body: () async throws(StreamEnd) -> [Message]
    ) async throws(StreamEnd) -> [Message] {
        let result: Result<[Message], StreamEnd> = await withTaskCancellationHandler {
            do throws(StreamEnd) {
                return .success(try await body())
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

    /// Ends it, as letting go of it does.
    package func cancel() { feed.end(id, .cancelled) }
}
