import ChatCore
import Metrics

/// Metrics of streams and WebSockets.
final class LiveMetrics: Sendable {
    /// Open streams.
    let streams: Meter
    /// Open WebSockets.
    let sockets: Meter
    private let closures: [CloseCode: Counter]

    init(factory: any MetricsFactory) {
        let label = "luciq_live_connections"
        self.streams = Meter(label: label, dimensions: [("transport", "sse")], factory: factory)
        self.sockets = Meter(label: label, dimensions: [("transport", "websocket")], factory: factory)
        self.closures = Dictionary(
            uniqueKeysWithValues: CloseCode.allCases.map { code in
                let label = "luciq_websocket_closed_total"
                return (code, Counter(label: label, dimensions: [("code", String(code.rawValue))], factory: factory))
            })
    }

    /// Counts a WebSocket that the server closed.
    func closed(_ closure: WebSocketClosure) { closures[closure.code]?.increment() }
}
