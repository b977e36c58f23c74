/// How long to wait before the next try: longer each time, and never the same as everybody else.
struct Backoff: Equatable {
    /// The first pause, before chance shortens it.
    var first: Duration
    /// No pause of our own is longer.
    var longest: Duration = .seconds(10)
    /// A server may ask for a longer one, up to this.
    static let longestAsked = Duration.seconds(60)

    private var failures = 0

    init(first: Duration) { self.first = first }

    /// - Parameters:
    ///   - asked: what the server asked for (`Retry-After`).
    ///   - chance: 0 to 1. A pause is at least half of its full length, so that a server that comes back is not met by
    ///     all its clients at once, and none of them comes back at once.
    mutating func pause(asked: Duration?, chance: Double) -> Duration {
        let full = min(longest, first * Double(1 << min(failures, 16)))
        failures += 1
        return max(full * (0.5 + chance / 2), min(asked ?? .zero, Self.longestAsked))
    }

    mutating func reset() { failures = 0 }
}
