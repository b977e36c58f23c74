package import Hummingbird
package import Logging
import NIOPosix

/// Builds a server for `/up`, `/livez`, `/readyz` and `/metrics` only. It has its own thread and connections, so that
/// it answers whatever the API's clients do.
///
/// - Parameters:
///   - probe: returns if the process can do its work; throws `ChatError.unavailable` otherwise.
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
    return options.application(
        router, metrics: requestMetrics, budget: ByteBudget(bound: options.heldBytes, factory: metrics), logger: logger,
        group: MultiThreadedEventLoopGroup(numberOfThreads: 1), onListening: onListening)
}
