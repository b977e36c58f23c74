/// How long to wait before the next try: longer each time, and never the same as everybody else.
package struct Backoff: Equatable, Sendable {
    /// The first pause, before chance shortens it. Each one is twice as long as the one before.
    package var first: Duration
    /// No pause is longer.
    package let longest: Duration
    /// Since the start, or the last `reset`.
    package private(set) var failures = 0

    package init(first: Duration, longest: Duration) {
        self.first = first
        self.longest = longest
    }

    /// - Parameter chance: 0 to 1. A pause is at least half of its full length, so that a server that comes back is not
    ///   met by all its clients at once, and none of them comes back at once.
    package mutating func pause(chance: Double = .random(in: 0...1)) -> Duration {
        let full = min(longest, first * (1 << min(failures, 16)))
        failures += 1
        return full * (0.5 + chance / 2)
    }

    package mutating func reset() { failures = 0 }
}
