import ChatCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import TLS

/// Accepts connections and serves HTTP/1 on them, over TLS if it has a certificate, until shutdown. Then it returns when the current requests are answered
/// and the connections are closed.
package final class HTTPServer: Service {
    /// The state that all connections share.
    final class Shared: Sendable {
        let api: API
        let limits: ConnectionLimits
        let metrics: RequestMetrics
        let slots: ConnectionSlots
        let budget: ByteBudget
        let proxies: TrustedProxies

        init(
            api: API, limits: ConnectionLimits, metrics: RequestMetrics, slots: ConnectionSlots, budget: ByteBudget,
            proxies: TrustedProxies
        ) {
            self.api = api
            self.limits = limits
            self.metrics = metrics
            self.slots = slots
            self.budget = budget
            self.proxies = proxies
        }
    }

    private let shared: Shared
    private let host: String
    private let port: Int
    private let certificate: TLSCertificate?
    private let group: any EventLoopGroup
    private let logger: Logger
    private let onListening: @Sendable (Int) async -> Void

    /// - Parameters:
    ///   - certificate: nil for plain HTTP.
    ///   - group: the event loops; a separate group for a server that must answer while others are busy.
    init(
        _ shared: Shared, host: String, port: Int, certificate: TLSCertificate?, group: any EventLoopGroup,
        logger: Logger,
        onListening: @escaping @Sendable (Int) async -> Void
    ) {
        self.shared = shared
        self.host = host
        self.port = port
        self.certificate = certificate
        self.group = group
        self.logger = logger
        self.onListening = onListening
    }

    package func run() async throws {
        let shared = shared
        // Only its own loop uses each.
        var states: [ObjectIdentifier: NIOLoopBoundBox<LoopState>] = [:]
        for loop in group.makeIterator() {
            states[ObjectIdentifier(loop)] = NIOLoopBoundBox.makeBoxSendingValue(LoopState(loop), eventLoop: loop)
        }
        let listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { [logger] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptLimit(shared.slots.accepted, logger: logger))
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { [states, certificate] channel in
                channel.eventLoop.makeCompletedFuture {
                    let loop = states[ObjectIdentifier(channel.eventLoop)]?.value ?? LoopState(channel.eventLoop)
                    let pipeline = channel.pipeline.syncOperations
                    if let certificate { try pipeline.addHandler(TLSHandler(certificate.current)) }
                    try pipeline.addHandler(HTTPConnection(shared, loop))
                }
            }
            .bind(host: host, port: port).get()
        await onListening(listener.localAddress?.port ?? port)
        try? await gracefulShutdown()  // Throws when cancelled, which is a shutdown as well.
        try? await listener.close()  // Throws if it is closed already.
        await shared.slots.quiesce()
    }
}
