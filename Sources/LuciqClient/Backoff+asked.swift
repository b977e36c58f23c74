import Scheduling

extension Backoff {
    /// A server may ask for a longer pause, up to this.
    private static let longestAsked = Duration.seconds(60)

    init(first: Duration) { self.init(first: first, longest: .seconds(10)) }

    /// - Parameter asked: what the server asked for (`Retry-After`).
    mutating func pause(asked: Duration?, chance: Double) -> Duration {
        max(pause(chance: chance), min(asked ?? .zero, Self.longestAsked))
    }
}
