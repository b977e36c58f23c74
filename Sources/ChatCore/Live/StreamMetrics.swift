import Metrics

/// The hub's metrics.
struct StreamMetrics: Sendable {
    let subscriptions: Meter
    /// Chats that have readers.
    let chats: Meter
    /// Messages delivered, counted once for each reader.
    let delivered: Counter
    /// Reads from the store to fill gaps.
    let gaps: Counter
    /// Missing numbers that were settled: found, or made void.
    let settled: Counter
    /// Bytes of the pages that readers hold.
    let held: Meter
    private let ends: [StreamEnd: Counter]

    init(factory: any MetricsFactory) {
        self.subscriptions = Meter(label: "luciq_stream_subscriptions", factory: factory)
        self.chats = Meter(label: "luciq_stream_chats", factory: factory)
        self.delivered = Counter(label: "luciq_stream_messages_total", factory: factory)
        self.gaps = Counter(label: "luciq_stream_gaps_total", factory: factory)
        self.settled = Counter(label: "luciq_stream_settled_total", factory: factory)
        self.held = Meter(label: "luciq_stream_held_bytes", factory: factory)
        self.ends = Dictionary(
            uniqueKeysWithValues: StreamEnd.allCases.map { end in
                let dimensions = [("code", end.name)]
                return (end, Counter(label: "luciq_stream_ended_total", dimensions: dimensions, factory: factory))
            })
    }

    func ended(_ end: StreamEnd) { ends[end]?.increment() }
}
