package import ChatCore
import HTTPTypes
package import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
import NIOPosix

/// The options of the server.
package struct HTTPOptions: Sendable {
    package var host = "127.0.0.1"
    /// 0 for any free one.
    package var port = 3000
    package var connections = ConnectionLimits()
    package var live = LiveLimits()
    /// The most open connections (`ConnectionSlots`).
    package var maxConnections = 10_000
    /// The most from one address; nil for three quarters of all.
    package var connectionsPerAddress: Int?
    /// The most bytes of incomplete requests and unread answers, of all connections together (`ByteBudget`).
    package var heldBytes = 256 << 20
    /// The origin whose pages may call the API; `*` for any; nil for none.
    package var corsOrigin: String?
    /// The accepted host names (`AllowedHosts`); empty for the default.
    package var allowedHosts: [String] = []

    package init() {}
}

/// Builds the server: the one composition that the executable and the tests share.
///
/// - Parameters:
///   - extraRoutes: for benchmarks and tests; the product has none.
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
    let budget = ByteBudget(bound: options.heldBytes, factory: metrics)
    let liveMetrics = LiveMetrics(factory: metrics)
    let router = Router(context: ChatContext.self, options: .autoGenerateHeadEndpoints)
    let routes = Routes(router: router)
    router.addMiddleware {
        AnswerHeadersMiddleware(hasCORS: options.corsOrigin != nil)
        RequestIDMiddleware()
        ObserveMiddleware(metrics: requestMetrics, logger: logger)
        if let cors = options.cors { cors }
        ProblemMiddleware(routes: routes, logger: logger)
        options.browserMiddleware
        AnswerBytesMiddleware(budget: budget)
    }
    let scopes = Scopes(service: service)
    ApplicationsController(service: service, scopes: scopes).add(to: routes)
    ChatsController(scopes: scopes).add(to: routes)
    MessagesController(scopes: scopes, budget: budget).add(to: routes)
    StreamController(scopes: scopes, limits: options.live, metrics: liveMetrics).add(to: routes)
    SocketController(
        scopes: scopes, limits: options.live, corsOrigin: options.corsOrigin, budget: budget, metrics: liveMetrics
    ).add(to: routes)
    HealthController(probe: service.backend.probe, notes: service.backend.notes, metrics: metrics).add(to: routes)
    DocumentsController().add(to: routes)
    extraRoutes(routes)

    return options.application(
        router, metrics: requestMetrics, budget: budget, logger: logger, onListening: onListening)
}

extension HTTPOptions {
    /// The server of a router, with all its connections guarded.
    func application(
        _ router: Router<ChatContext>,
        metrics: RequestMetrics,
        budget: ByteBudget,
        logger: Logger,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        onListening: @escaping @Sendable (Int) async -> Void
    ) -> some ApplicationProtocol {
        let (limits, givenPort, hasCORS) = (connections, port, corsOrigin != nil)
        let departures = Departures()
        let slots = ConnectionSlots(
            accepted: maxConnections, share: connectionsPerAddress ?? max(1, maxConnections * 3 / 4), logger: logger,
            metrics: metrics.factory)
        var frameworkLogger = logger
        // Without the info line about the address, which `onListening` reports.
        if logger.logLevel == .info { frameworkLogger.logLevel = .notice }
        var application = Application(
            router: router,
            server: HTTPServerBuilder {
                HTTPConnection(
                    responder: $0, limits: limits, metrics: metrics, slots: slots, budget: budget,
                    departures: departures, hasCORS: hasCORS)
            },
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port),
                backlog: 1024,
                availableConnectionsDelegate: .maximum(slots.accepted, logger: logger)
            ),
            onServerRunning: { channel in
                // It fails if the channel is closed already.
                try? await channel.pipeline.addHandler(AcceptPause(logger: logger), position: .first)
                await onListening(channel.localAddress?.port ?? givenPort)
            },
            eventLoopGroupProvider: .shared(group),
            logger: frameworkLogger
        )
        application.addServices(departures)
        return application
    }

    var browserMiddleware: BrowserMiddleware {
        BrowserMiddleware(hosts: AllowedHosts(allowedHosts, listeningOn: host), corsOrigin: corsOrigin)
    }

    fileprivate var cors: CORSMiddleware<ChatContext>? {
        corsOrigin.map { origin in
            CORSMiddleware(
                // Browsers compare it byte for byte with their own spelling.
                allowOrigin: origin == "*" ? .all : .custom(Origin(origin)?.description ?? origin),
                allowHeaders: [.accept, .contentType, .origin, .idempotencyKey, .requestID, .lastEventID],
                allowMethods: [.get, .post, .patch, .put, .head, .options],
                exposedHeaders: AnswerHeadersMiddleware.exposed
            )
        }
    }
}
