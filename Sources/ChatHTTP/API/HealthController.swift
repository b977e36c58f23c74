import HTTPTypes
import Hummingbird

/// Endpoints for load balancers, orchestrators and Prometheus. They need no token.
struct HealthController {
    /// Throws `ChatError.unavailable` if the process lacks something that it needs.
    let probe: @Sendable () async throws -> Void
    /// Lines that `/readyz` adds to "ok".
    var notes: @Sendable () -> [String] = { [] }
    let metrics: PrometheusRegistry

    static let paths: Set<String> = ["/up", "/livez", "/readyz", "/metrics"]

    /// Whether a request is for one of these endpoints.
    static func answers(_ head: HTTPRequest) -> Bool {
        let path = head.path.map { $0.prefix { $0 != "?" } } ?? ""
        return [.get, .head].contains(head.method) && paths.contains(String(path))
    }

    func add(to routes: Routes) {
        routes.on(.get, "/up", up)
        routes.on(.get, "/livez") { _, _ in .text("ok\n") }
        routes.on(.get, "/readyz", ready)
        routes.on(.get, "/metrics") { _, _ in
            .text(metrics.text(), type: "text/plain; version=0.0.4; charset=utf-8")
        }
    }

    /// Answers like Rails: a green page, or a red one.
    private func up(_ request: Request, _ context: ChatContext) async throws -> Response {
        var response = Response.text(Self.page("green"), type: "text/html; charset=utf-8")
        do {
            try await probe()
        } catch {
            response = .text(Self.page("red"), type: "text/html; charset=utf-8", status: .serviceUnavailable)
            response.headers[.retryAfter] = "2"
        }
        return response
    }

    private static func page(_ color: String) -> String {
        "<!DOCTYPE html><html><body style=\"background-color: \(color)\"></body></html>"
    }

    private func ready(_ request: Request, _ context: ChatContext) async throws -> Response {
        try await probe()
        return .text((["ok"] + notes()).joined(separator: "\n") + "\n")
    }
}
