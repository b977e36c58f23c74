/// A constant rate: each request has a fixed time at which it is due, independent of the answers before it.
struct Pace {
    /// Requests a second.
    let rate: Int
    /// Seconds at the start that do not count.
    let warmUp: Int
    let seconds: Int

    var count: Int { rate * (warmUp + seconds) }
    var uncounted: Int { rate * warmUp }
    /// Nanoseconds after the start.
    func moment(of index: Int) -> Int64 { Int64(index) * 1_000_000_000 / Int64(rate) }
    /// The number of requests due by this time, in nanoseconds after the start.
    func due(by elapsed: Int64) -> Int {
        guard elapsed >= 0 else { return 0 }
        return min(count, Int((Int64(rate) * (elapsed + 1) + 999_999_999) / 1_000_000_000))
    }
}
