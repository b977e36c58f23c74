package import ChatCore
package import Logging
import NIOCore
import NIOPosix
package import TLS

/// The server's address, limits and allowed browsers.
package struct HTTPOptions: Sendable {
    package var host = "127.0.0.1"
    /// 0 for any free port.
    package var port = 3000
    /// For HTTPS; nil for plain HTTP.
    package var certificate: TLSCertificate?
    package var connections = ConnectionLimits()
    package var live = LiveLimits()
    /// The limit of open connections (`ConnectionSlots`).
    package var maxConnections = 10_000
    /// The proxies whose `X-Forwarded-For` tells a request's address.
    package var proxies = TrustedProxies()
    /// The limit of those from one address; nil for three quarters.
    package var connectionsPerAddress: Int?
    /// The limit of bytes in incomplete requests and unread answers, for all connections together (`ByteBudget`).
    package var heldBytes = 256 << 20
    /// The origin whose pages may call the API; `*` for any; nil for none.
    package var corsOrigin: String?
    /// The host names that the server accepts (`AllowedHosts`); empty for the default.
    package var allowedHosts: [String] = []

    package init() {}
}

/// Builds the API's server, for the executable and for tests.
///
/// - Parameters:
///   - extraRoutes: for benchmarks and tests; the product has none.
///   - onListening: called with the port once connections are accepted.
package func buildServer(
    service: ChatService,
    options: HTTPOptions = HTTPOptions(),
    metrics: PrometheusRegistry,
    logger: Logger,
    extraRoutes: (Routes) -> Void = { _ in },
    onListening: @escaping @Sendable (Int) async -> Void = { _ in }
) -> HTTPServer {
    let budget = ByteBudget(bound: options.heldBytes, factory: metrics)
    let liveMetrics = LiveMetrics(factory: metrics)
    let routes = Routes()
    let scopes = Scopes(service: service, corsOrigin: options.corsOrigin)
    ApplicationsController(service: service, scopes: scopes).add(to: routes)
    KeysController(scopes: scopes).add(to: routes)
    TokenKeysController(scopes: scopes).add(to: routes)
    UsersController(scopes: scopes).add(to: routes)
    PresenceController(scopes: scopes).add(to: routes)
    TicketsController(scopes: scopes).add(to: routes)
    if service.policy.takesDemoKeys { DemoTokensController(scopes: scopes).add(to: routes) }
    LifecycleController(service: service, scopes: scopes).add(to: routes)
    ChatsController(scopes: scopes).add(to: routes)
    MembersController(scopes: scopes).add(to: routes)
    SignalsController(scopes: scopes).add(to: routes)
    MessagesController(scopes: scopes, budget: budget).add(to: routes)
    MessageEditsController(scopes: scopes).add(to: routes)
    ReactionsController(scopes: scopes).add(to: routes)
    PinsController(scopes: scopes).add(to: routes)
    ChangesController(scopes: scopes, budget: budget).add(to: routes)
    ReadsController(scopes: scopes).add(to: routes)
    SearchController(scopes: scopes, budget: budget).add(to: routes)
    StreamController(scopes: scopes, limits: options.live, metrics: liveMetrics).add(to: routes)
    SocketController(
        service: service, scopes: scopes, limits: options.live, corsOrigin: options.corsOrigin, budget: budget,
        metrics: liveMetrics
    ).add(to: routes)
    HealthController(probe: service.backend.probe, notes: service.backend.notes, metrics: metrics).add(to: routes)
    DocumentsController(demoUsers: service.policy.takesDemoKeys ? DemoUser.allCases : []).add(to: routes)
    extraRoutes(routes)
    return options.server(
        routes, service: service, metrics: metrics, budget: budget, logger: logger,
        group: MultiThreadedEventLoopGroup.singleton, onListening: onListening)
}

/// Builds a server without the API: it serves `/up`, `/livez`, `/readyz` and `/metrics` only. It has its own thread and
/// connection limit, so that it answers whatever the API's clients do.
///
/// - Parameters:
///   - probe: returns if the process can work; throws `ChatError.unavailable` otherwise.
///   - onListening: called with the port once connections are accepted.
package func buildHealthServer(
    probe: @escaping @Sendable () async throws -> Void,
    options: HTTPOptions,
    metrics: PrometheusRegistry,
    logger: Logger,
    onListening: @escaping @Sendable (Int) async -> Void = { _ in }
) -> HTTPServer {
    let routes = Routes()
    HealthController(probe: probe, metrics: metrics).add(to: routes)
    var options = options
    options.corsOrigin = nil
    return options.server(
        routes, metrics: metrics, budget: ByteBudget(bound: options.heldBytes, factory: metrics), logger: logger,
        group: MultiThreadedEventLoopGroup(numberOfThreads: 1), onListening: onListening)
}

extension HTTPOptions {
    fileprivate func server(
        _ routes: Routes, service: ChatService? = nil, metrics: PrometheusRegistry, budget: ByteBudget, logger: Logger,
        group: any EventLoopGroup, onListening: @escaping @Sendable (Int) async -> Void
    ) -> HTTPServer {
        let requestMetrics = RequestMetrics(factory: metrics)
        let slots = ConnectionSlots(
            accepted: maxConnections, share: connectionsPerAddress ?? max(1, maxConnections * 3 / 4), proxies: proxies,
            logger: logger, metrics: metrics)
        let api = API(routes, options: self, service: service, metrics: requestMetrics, logger: logger)
        return HTTPServer(
            HTTPServer.Shared(
                api: api, limits: connections, metrics: requestMetrics, slots: slots, budget: budget,
                proxies: proxies),
            host: host, port: port, certificate: certificate, group: group, logger: logger, onListening: onListening)
    }
}
