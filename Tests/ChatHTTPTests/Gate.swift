import Synchronization

/// Calls pass through it, unless the test holds them or makes them fail.
final class Gate: Sendable {
    private struct State {
        var failure: (any Error)?
        var isHeld = false
        var held: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    private let arrivals = AsyncStream.makeStream(of: Void.self)

    func pass() async throws {
        await withCheckedContinuation { call in
            let isHeld = state.withLock { state in
                if state.isHeld { state.held.append(call) }
                return state.isHeld
            }
            if isHeld { arrivals.continuation.yield() } else { call.resume() }
        }
        if let failure = state.withLock(\.failure) { throw failure }
    }

    /// Whether calls pass at once.
    var isOpen: Bool { state.withLock { !$0.isHeld && $0.failure == nil } }

    /// Calls wait from now on.
    func hold() { state.withLock { $0.isHeld = true } }

    /// Calls fail from now on; nil lets them pass again.
    func fail(_ failure: (any Error)?) { state.withLock { $0.failure = failure } }

    /// Releases all held calls and holds no more.
    func release() {
        let held = state.withLock { state in
            defer { state.held = [] }
            state.isHeld = false
            return state.held
        }
        for call in held { call.resume() }
    }

    /// Returns when that many more calls are held.
    ///
    /// - Throws: `CancellationError`, so that a test at its time limit ends.
    func waitForHeld(_ count: Int) async throws {
        var iterator = arrivals.stream.makeAsyncIterator()
        for _ in 0..<count where await iterator.next() == nil { throw CancellationError() }
    }
}
