package import Hummingbird
package import Logging

/// Builds the server of a process that has no API: `/up`, `/livez`, `/readyz` and `/metrics`, and problems for all else.
///
/// - Parameters:
///   - probe: answers when the process can do its work; throws `ChatError.unavailable` otherwise.
///   - onListening: called with the port once connections are accepted.
package func buildHealthApplication(
    probe: @escaping @Sendable () async throws -> Void,
    options: HTTPOptions,
    metrics: PrometheusRegistry,
    logger: Logger,
    onListening: @escaping @Sendable (Int) async -> Void = { _ in }
) -> some ApplicationProtocol {
    let requestMetrics = RequestMetrics(factory: metrics)
    let router = Router(context: ChatContext.self, options: .autoGenerateHeadEndpoints)
    let routes = Routes(router: router)
    router.addMiddleware {
        AnswerHeadersMiddleware(hasCORS: false)
        RequestIDMiddleware()
        ObserveMiddleware(metrics: requestMetrics, logger: logger)
        ProblemMiddleware(routes: routes, logger: logger)
        options.browserMiddleware
    }
    HealthController(probe: probe, metrics: metrics).add(to: routes)
    return options.application(router, metrics: requestMetrics, logger: logger, onListening: onListening)
}
