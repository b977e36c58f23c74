package import Metrics
import Synchronization

/// Metrics in Prometheus' text format (0.0.4), behind swift-metrics.
///
/// Written by hand because it is small; a package could replace this file and its neighbour. A label ending in
/// `_seconds` is a histogram of times, any other recorder a histogram of sizes.
package final class PrometheusRegistry: MetricsFactory {
    private struct Key: Hashable {
        let name: String
        let labels: String
    }

    private let metrics = Mutex<[Key: any PrometheusMetric]>([:])
    private let process = ProcessMetrics()
    private let observers = Mutex<[@Sendable () -> Void]>([])

    /// - Parameter version: the program's.
    package init(version: String) {
        makeMeter(label: "luciq_build_info", dimensions: [("version", version)]).set(1.0)
    }

    /// Calls `body` before each reading, to set gauges that are not set on change. It must be quick.
    package func beforeReading(_ body: @escaping @Sendable () -> Void) { observers.withLock { $0.append(body) } }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        metric(label, dimensions) { PrometheusCounter() }
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        metric(label, dimensions) { PrometheusGauge() }
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        metric(label, dimensions) { PrometheusHistogram(bounds: PrometheusHistogram.sizes) }
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        metric(label, dimensions) { PrometheusHistogram(bounds: PrometheusHistogram.seconds) }
    }

    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// Everything measured so far, sorted by name.
    package func text() -> String {
        for observer in observers.withLock(\.self) { observer() }
        var text = ""
        var lastName: String?
        var metrics = metrics.withLock(\.self)
        for (name, reading) in process.readings() { metrics[Key(name: name, labels: "")] = reading }
        for (key, metric) in metrics.sorted(by: { ($0.key.name, $0.key.labels) < ($1.key.name, $1.key.labels) }) {
            if key.name != lastName {
                let help = MetricHelp.texts[key.name]
                assert(help != nil, "\(key.name) has no line in MetricHelp.swift")
                text += "# HELP \(key.name) \(help ?? key.name)\n"
                text += "# TYPE \(key.name) \(metric.type)\n"
                lastName = key.name
            }
            metric.write(name: key.name, labels: key.labels, to: &text)
        }
        return text
    }

    private func metric<Metric: PrometheusMetric>(
        _ name: String,
        _ dimensions: [(String, String)],
        make: () -> Metric
    ) -> Metric {
        let labels = dimensions.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
        return metrics.withLock { metrics in
            let key = Key(name: name, labels: labels)
            if let metric = metrics[key] as? Metric { return metric }
            let metric = make()
            metrics[key] = metric
            return metric
        }
    }

    private static func escaped(_ value: String) -> String {
        value.reduce(into: "") { text, character in
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.append(character)
            }
        }
    }
}
