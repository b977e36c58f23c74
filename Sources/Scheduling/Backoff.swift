/// The pause before the next attempt: longer each time, with jitter.
package struct Backoff: Equatable, Sendable {
    /// The first pause, before jitter. Each one is twice as long as the previous one.
    package var first: Duration
    /// The longest pause.
    package let longest: Duration
    /// Failures since the start or the last `reset`.
    package private(set) var failures = 0

    package init(first: Duration, longest: Duration) {
        self.first = first
        self.longest = longest
    }

    /// - Parameter chance: 0 to 1, the jitter. A pause is at least half of its full length. So a recovered server does
    ///   not get all its clients at once, and no client retries at once.
    package mutating func pause(chance: Double = .random(in: 0...1)) -> Duration {
        let full = min(longest, first * (1 << min(failures, 16)))
        failures += 1
        return full * (0.5 + chance / 2)
    }

    package mutating func reset() { failures = 0 }
}
