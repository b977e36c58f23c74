import ChatCore
import HTTPTypes
package import Metrics

/// Requests by route and status, with their durations.
package final class RequestMetrics: Sendable {
    /// The code of connections that ended in TLS: a scanner, or a client that does not trust the certificate.
    static let failedTLS = "tls_failed"

    let factory: any MetricsFactory
    /// Open connections.
    let connections: Meter
    private let refusals: [String: Counter]

    package init(factory: any MetricsFactory) {
        self.factory = factory
        self.connections = Meter(label: "luciq_http_connections", factory: factory)
        let codes = [
            Problem.notHTTP.code, Problem.headersTooLarge.code, Problem.full.code, ChatError.timedOut.code,
            Problem.unknownCoding.code, Problem.notHTTPS.code, Self.failedTLS,
        ]
        self.refusals = Dictionary(
            uniqueKeysWithValues: codes.map { code in
                let label = "luciq_http_connections_refused_total"
                return (code, Counter(label: label, dimensions: [("code", code)], factory: factory))
            })
    }

    /// Counts a connection that the server ended with this problem's code, or because it was slow. Such an answer has
    /// no request, so no request's metric counts it.
    func refusedConnection(_ code: String) { refusals[code]?.increment() }

    /// The timer of these answers: the same each time. A route keeps its own.
    ///
    /// - Parameter route: a path's pattern.
    func timer(method: HTTPRequest.Method, route: String, status: HTTPResponse.Status) -> Metrics.Timer {
        // Clients may invent methods: do not create a label for each.
        let method = HTTPRequest.Method.known.contains(method) ? method : HTTPRequest.Method("OTHER")!
        return Metrics.Timer(
            label: "luciq_http_request_duration_seconds",
            dimensions: [("method", method.rawValue), ("route", route), ("status", String(status.code))],
            factory: factory)
    }
}

extension HTTPRequest.Method {
    fileprivate static let known: Set<HTTPRequest.Method> = [.get, .head, .post, .put, .patch, .delete, .options]
}
