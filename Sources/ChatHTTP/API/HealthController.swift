import HTTPTypes

/// Endpoints for load balancers, orchestrators and Prometheus. They need no token.
struct HealthController {
    /// Throws `ChatError.unavailable` if the process lacks something that it needs.
    let probe: @Sendable () async throws -> Void
    /// Lines that `/readyz` adds to "ok".
    var notes: @Sendable () -> [String] = { [] }
    let metrics: PrometheusRegistry

    static let paths: Set<String> = ["/up", "/livez", "/readyz", "/metrics"]

    /// Whether the request is for one of these endpoints.
    static func answers(_ request: Request) -> Bool {
        [.get, .head].contains(request.method) && paths.contains(request.path)
    }

    func add(to routes: Routes) {
        routes.on(.get, "/up") { _ in .task(up) }
        routes.on(.get, "/livez") { _ in .now(.text("ok\n")) }
        routes.on(.get, "/readyz") { _ in .task(ready) }
        routes.on(.get, "/metrics") { _ in
            // In a task: formatting all metrics would hold up the event loop.
            .task { .text(metrics.text(), type: "text/plain; version=0.0.4; charset=utf-8") }
        }
    }

    /// Rails' health check: a green page, or a red one.
    @Sendable private func up() async throws -> Response {
        var response = Response.text(Self.page("green"), type: "text/html; charset=utf-8")
        do {
            try await probe()
        } catch {
            response = .text(Self.page("red"), type: "text/html; charset=utf-8", status: .serviceUnavailable)
            response.add("Retry-After", "2")
        }
        return response
    }

    private static func page(_ color: String) -> String {
        "<!DOCTYPE html><html><body style=\"background-color: \(color)\"></body></html>"
    }

    @Sendable private func ready() async throws -> Response {
        try await probe()
        return .text((["ok"] + notes()).joined(separator: "\n") + "\n")
    }
}
