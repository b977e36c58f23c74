import ChatCore

/// How long answers that refuse a request for its limit wait. A client that is refused at once asks again at once, and its
/// refusals take the processors from others.
///
/// Of an address, and of an application, 200 a second go at once, after a burst of as many; later ones wait for their
/// place at that pace, 5 seconds at most. Each event loop has its own. It keeps a bounded number of moments: two owners may
/// share one, and then wait for each other.
struct RefusalPace {
    static let perSecond = 200
    static let longest = Duration.seconds(5)
    private static let interval = Duration.seconds(1) / perSecond
    private static let burst = Duration.seconds(1)

    /// When the last refusal of an owner goes, by the owner's hash.
    private var moments: [Duration]

    init(owners: Int = 4096) { moments = Array(repeating: .zero - Self.burst, count: owners) }

    /// - Parameter owners: hashes.
    /// - Returns: how long the answer waits.
    mutating func wait(of owners: [Int], now: Duration) -> Duration {
        var wait = Duration.zero
        for owner in owners {
            let place = Int(UInt(bitPattern: owner) % UInt(moments.count))
            // No further ahead than the longest wait, or a flood would be remembered for long.
            let moment = min(max(moments[place], now - Self.burst) + Self.interval, now + Self.longest)
            moments[place] = moment
            wait = max(wait, moment - now)
        }
        return wait
    }
}
