import Metrics

/// The metrics of a group commit.
struct CommitMetrics: Sendable {
    /// Entries that wait.
    let depth: Meter
    private let batchSize: Recorder
    private let latency: Metrics.Timer
    private let refusals: [String: Counter]

    init(name: String, factory: any MetricsFactory) {
        let dimensions = [("writer", name)]
        self.depth = Meter(label: "luciq_writer_queue_depth", dimensions: dimensions, factory: factory)
        self.batchSize = Recorder(
            label: "luciq_writer_batch_size", dimensions: dimensions, aggregate: true, factory: factory)
        self.latency = Metrics.Timer(label: "luciq_store_write_seconds", dimensions: dimensions, factory: factory)
        let errors: [ChatError] = [.overloaded, .shuttingDown, .keyInFlight, .timedOut, .outcomeUnknown]
        self.refusals = Dictionary(
            uniqueKeysWithValues: errors.map { error in
                let counter = Counter(
                    label: "luciq_writer_refused_total",
                    dimensions: dimensions + [("code", error.code)],
                    factory: factory
                )
                return (error.code, counter)
            })
    }

    func committed(_ entries: Int, in duration: Duration) {
        batchSize.record(entries)
        latency.record(duration: duration)
    }

    func refused(_ error: ChatError) { refusals[error.code]?.increment() }
}
