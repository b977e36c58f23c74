import Metrics

/// Metrics of jobs. Unknown names are not a dimension, because clients could invent any number of them.
struct JobMetrics: Sendable {
    enum Outcome: String, CaseIterable {
        case succeeded, failed
    }

    private struct Meters {
        let counters: [Outcome: Counter]
        let duration: Metrics.Timer
    }

    private let byJob: [String: Meters]
    private let unknown: Meters
    private let queueSizes: [String: Meter]
    private let queueLatencies: [String: Meter]
    private let busy: Meter

    init(jobs: [String], queues: [String], factory: any MetricsFactory) {
        func meters(_ job: String) -> Meters {
            Meters(
                counters: Dictionary(
                    uniqueKeysWithValues: Outcome.allCases.map { outcome in
                        let dimensions = [("job", job), ("outcome", outcome.rawValue)]
                        return (outcome, Counter(label: "luciq_jobs_total", dimensions: dimensions, factory: factory))
                    }),
                duration: Metrics.Timer(label: "luciq_job_seconds", dimensions: [("job", job)], factory: factory))
        }
        func perQueue(_ label: String) -> [String: Meter] {
            Dictionary(
                queues.map { ($0, Meter(label: label, dimensions: [("queue", $0)], factory: factory)) },
                uniquingKeysWith: { first, _ in first })
        }
        byJob = Dictionary(uniqueKeysWithValues: jobs.map { ($0, meters($0)) })
        unknown = meters("unknown")
        queueSizes = perQueue("luciq_job_queue_size")
        queueLatencies = perQueue("luciq_job_queue_latency_seconds")
        busy = Meter(label: "luciq_jobs_busy", factory: factory)
    }

    /// - Parameter job: nil for an unknown class.
    func ended(_ job: String?, _ outcome: Outcome, _ elapsed: Duration) {
        let meters = job.flatMap { byJob[$0] } ?? unknown
        meters.counters[outcome]?.increment()
        meters.duration.record(duration: elapsed)
    }

    func inHand(_ count: Int) { busy.set(count) }

    /// - Parameter latency: how long the oldest job has waited.
    func waiting(in queue: String, _ size: Int, latency: Duration) {
        queueSizes[queue]?.set(size)
        queueLatencies[queue]?.set(latency.inSeconds)
    }
}
