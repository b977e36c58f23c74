import Metrics
import Synchronization

protocol PrometheusMetric: Sendable {
    /// The type in the `# TYPE` line.
    var type: String { get }

    /// Appends the metric's lines.
    ///
    /// - Parameter labels: `a="1",b="2"`, or nothing.
    func write(name: String, labels: String, to text: inout String)
}

final class PrometheusCounter: PrometheusMetric, CounterHandler {
    private let value = Atomic<Int64>(0)

    var type: String { "counter" }

    func increment(by amount: Int64) { value.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { value.store(0, ordering: .relaxed) }

    func write(name: String, labels: String, to text: inout String) {
        text += "\(name)\(labels.inBraces) \(value.load(ordering: .relaxed))\n"
    }
}

final class PrometheusGauge: PrometheusMetric, MeterHandler {
    private let value = Mutex(0.0)

    var type: String { "gauge" }

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { self.value.withLock { $0 = value } }
    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func decrement(by amount: Double) { value.withLock { $0 -= amount } }

    func write(name: String, labels: String, to text: inout String) {
        text += "\(name)\(labels.inBraces) \(value.withLock(\.self).prometheus)\n"
    }
}

/// A metric whose value is computed at each reading.
struct PrometheusReading: PrometheusMetric {
    let type: String
    let value: Double

    func write(name: String, labels: String, to text: inout String) {
        text += "\(name)\(labels.inBraces) \(value.prometheus)\n"
    }
}

final class PrometheusHistogram: PrometheusMetric, TimerHandler, RecorderHandler {
    static let seconds = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]
    static let sizes: [Double] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]

    private struct State {
        /// One more than there are bounds: the last counts values above them all.
        var buckets: [UInt64]
        var sum = 0.0
    }

    private let bounds: [Double]
    private let state: Mutex<State>

    init(bounds: [Double]) {
        self.bounds = bounds
        self.state = Mutex(State(buckets: Array(repeating: 0, count: bounds.count + 1)))
    }

    var type: String { "histogram" }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.buckets[bucket] += 1
            state.sum += value
        }
    }

    func write(name: String, labels: String, to text: inout String) {
        let state = state.withLock(\.self)
        let prefix = labels.isEmpty ? "" : labels + ","
        var count: UInt64 = 0
        for (bucket, bound) in zip(state.buckets, bounds.map(\.prometheus) + ["+Inf"]) {
            count += bucket
            text += "\(name)_bucket{\(prefix)le=\"\(bound)\"} \(count)\n"
        }
        text += "\(name)_sum\(labels.inBraces) \(state.sum.prometheus)\n"
        text += "\(name)_count\(labels.inBraces) \(count)\n"
    }
}

extension String {
    fileprivate var inBraces: String { isEmpty ? "" : "{\(self)}" }
}

extension Double {
    fileprivate var prometheus: String { self == rounded() && abs(self) < 1e15 ? String(Int64(self)) : description }
}
