import ChatCore
import Metrics

/// Long connections, and how sockets end.
final class LiveMetrics: Sendable {
    /// Streams that are open.
    let streams: Meter
    /// WebSocket connections that are open.
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

    /// A socket was closed from here.
    func closed(_ closure: WebSocketClosure) { closures[closure.code]?.increment() }
}
