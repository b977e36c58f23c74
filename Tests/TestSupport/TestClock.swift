import Synchronization

/// A clock that the test advances.
package final class TestClock: Clock {
    package struct Instant: InstantProtocol {
        package let offset: Swift.Duration

        package func advanced(by duration: Swift.Duration) -> Instant { Instant(offset: offset + duration) }
        package func duration(to other: Instant) -> Swift.Duration { other.offset - offset }
        package static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
    }

    private struct State {
        var now = Instant(offset: .zero)
        var sleepers: [(until: Instant, wake: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    package init() {}

    package var now: Instant { state.withLock(\.now) }
    package var minimumResolution: Swift.Duration { .zero }

    package func sleep(until deadline: Instant, tolerance: Swift.Duration?) async throws {
        await withCheckedContinuation { wake in
            let isOver = state.withLock { state in
                if deadline > state.now { state.sleepers.append((deadline, wake)) }
                return deadline <= state.now
            }
            if isOver { wake.resume() }
        }
    }

    /// Returns when that many tasks sleep.
    package func waitForSleepers(_ count: Int) async throws {
        try await eventually("\(count) sleepers") { state.withLock { $0.sleepers.count >= count } }
    }

    /// Advances the time and wakes the tasks that are due.
    package func advance(by duration: Swift.Duration) {
        let ready = state.withLock { state in
            state.now = state.now.advanced(by: duration)
            let ready = state.sleepers.filter { $0.until <= state.now }.map(\.wake)
            state.sleepers.removeAll { $0.until <= state.now }
            return ready
        }
        for wake in ready { wake.resume() }
    }
}
