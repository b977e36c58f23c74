import Synchronization

/// The chats of `log_changes` within `LogChanges.overlap`, for a reader that asks every few seconds: it reads the last few
/// seconds, and only now and then all of them, for the changes that were committed late.
final class RecentChanges: Sendable {
    /// In microseconds, as all times here; by the database's clock.
    private static let wholeEach: Int64 = 30_000_000
    /// Most transactions commit within that.
    private static let late: Int64 = 10_000_000

    private struct State {
        var chats: Set<Int64> = []
        /// When it was read, and when as a whole.
        var readAt: Int64 = 0
        var wholeAt: Int64 = 0
    }

    private let state = Mutex(State())

    /// - Returns: where to read from.
    func start(at now: Int64) -> Int64 {
        state.withLock { state in
            // Also when the clock was set back.
            if now - state.wholeAt >= Self.wholeEach || now < state.readAt {
                state = State(readAt: now, wholeAt: now)
                return now - LogChanges.overlap
            }
            defer { state.readAt = now }
            return state.readAt - Self.late
        }
    }

    func see(_ chats: Set<Int64>) { state.withLock { $0.chats.formUnion(chats) } }

    var chats: [Int64] { state.withLock { $0.chats.sorted() } }
}
