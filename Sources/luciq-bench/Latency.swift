/// Percentiles of latencies, by nearest rank.
struct Latency: Encodable, Equatable {
    let p50_ms: Double
    let p99_ms: Double
    let p999_ms: Double
    let max_ms: Double

    init?(_ nanoseconds: [Int64]) {
        guard !nanoseconds.isEmpty else { return nil }
        let sorted = nanoseconds.sorted()
        func milliseconds(_ thousandths: Int) -> Double {
            Double(sorted[(sorted.count * thousandths + 999) / 1000 - 1]) / 1e6
        }
        (p50_ms, p99_ms, p999_ms, max_ms) = (
            milliseconds(500), milliseconds(990), milliseconds(999), milliseconds(1000)
        )
    }
}
