package import ChatCore
import HTTPTypes
package import Hummingbird
package import Logging
import NIOCore

/// How the server listens.
package struct HTTPOptions: Sendable {
    package var host = "127.0.0.1"
    /// 0 for any free one.
    package var port = 3000
    package var connections = ConnectionLimits()
    /// Open connections; past it new ones wait in the system's backlog.
    package var maxConnections = 10_000
    /// The origin that browsers may call from; `*` for any; nil for none.
    package var corsOrigin: String?

    package init() {}
}

/// Builds the server: the one composition that the executable and the tests share.
///
/// - Parameters:
///   - extraRoutes: for the benchmark's ceiling; the product has none.
///   - onListening: called with the port once connections are accepted.
package func buildApplication(
    service: ChatService,
    options: HTTPOptions = HTTPOptions(),
    metrics: PrometheusRegistry,
    logger: Logger,
    extraRoutes: (Routes) -> Void = { _ in },
    onListening: @escaping @Sendable (Int) async -> Void = { _ in }
) -> some ApplicationProtocol {
    let requestMetrics = RequestMetrics(factory: metrics)
    let router = Router(context: ChatContext.self, options: .autoGenerateHeadEndpoints)
    let routes = Routes(router: router)
    router.addMiddleware {
        RequestIDMiddleware()
        ObserveMiddleware(metrics: requestMetrics, logger: logger)
        if let cors = options.cors {
            cors
            ExposeHeadersMiddleware()
        }
        ProblemMiddleware(routes: routes, logger: logger)
    }
    ApplicationsController(service: service).add(to: routes)
    ChatsController(service: service).add(to: routes)
    MessagesController(service: service).add(to: routes)
    HealthController(backend: service.backend, metrics: metrics).add(to: routes)
    DocumentsController().add(to: routes)
    extraRoutes(routes)

    let limits = options.connections
    return Application(
        router: router,
        server: .http1(
            configuration: .init(
                additionalChannelHandlers: [
                    ConnectionGuard(limits: limits, metrics: requestMetrics)
                ])),
        configuration: ApplicationConfiguration(
            address: .hostname(options.host, port: options.port),
            backlog: 1024,
            availableConnectionsDelegate: .maximum(options.maxConnections, logger: logger)
        ),
        onServerRunning: { channel in await onListening(channel.localAddress?.port ?? options.port) },
        logger: logger
    )
}

extension HTTPOptions {
    fileprivate var cors: CORSMiddleware<ChatContext>? {
        corsOrigin.map { origin in
            CORSMiddleware(
                allowOrigin: origin == "*" ? .all : .custom(origin),
                allowHeaders: [.accept, .contentType, .origin, .idempotencyKey, .requestID],
                allowMethods: [.get, .post, .patch, .put, .head, .options],
                exposedHeaders: ExposeHeadersMiddleware.exposed
            )
        }
    }
}
