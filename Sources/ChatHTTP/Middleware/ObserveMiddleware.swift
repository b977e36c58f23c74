import HTTPTypes
import Hummingbird
import Logging

/// Logs and measures each request. The route's pattern replaces the path, which holds a token.
struct ObserveMiddleware: RouterMiddleware {
    let metrics: RequestMetrics
    let logger: Logger

    func handle(
        _ request: Request,
        context: ChatContext,
        next: (Request, ChatContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let response = try await next(request, context)
        let duration = ContinuousClock.now - start
        let route = context.endpointPath ?? "NotFound"
        metrics.record(method: request.method, route: route, status: response.status, duration: duration)
        // Probes every few seconds would fill the log.
        let level: Logger.Level = HealthController.paths.contains(route) ? .debug : .info
        logger.log(
            level: level, "request",
            metadata: [
                "request_id": .string(context.requestID),
                "method": .string(request.method.rawValue),
                "route": .string(route),
                "status": .stringConvertible(response.status.code),
                "duration_ms": .stringConvertible(duration.milliseconds),
            ])
        return response
    }
}

extension Duration {
    /// With microseconds: 0.142.
    fileprivate var milliseconds: Double {
        Double(components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000) / 1000
    }
}
