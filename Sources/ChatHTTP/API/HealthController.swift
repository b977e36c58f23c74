import HTTPTypes
import Hummingbird

/// For load balancers, orchestrators and Prometheus. None of these needs a token.
struct HealthController {
    /// Throws `ChatError.unavailable` when what this process needs is not there.
    let probe: @Sendable () async throws -> Void
    /// What to say beside "ok".
    var notes: @Sendable () -> [String] = { [] }
    let metrics: PrometheusRegistry

    static let paths: Set<String> = ["/up", "/livez", "/readyz", "/metrics"]

    /// Whether a request is for one of these.
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

    /// As Rails answers it: a page that is green, or red.
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
