import ChatCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Listens, and serves HTTP/1.1 on every connection. It runs until shutdown, and returns when the requests in hand are
/// answered and the connections closed.
package final class HTTPServer: Service {
    /// What its connections share.
    final class Shared: Sendable {
        let api: API
        let limits: ConnectionLimits
        let metrics: RequestMetrics
        let slots: ConnectionSlots
        let budget: ByteBudget

        init(
            api: API, limits: ConnectionLimits, metrics: RequestMetrics, slots: ConnectionSlots, budget: ByteBudget
        ) {
            self.api = api
            self.limits = limits
            self.metrics = metrics
            self.slots = slots
            self.budget = budget
        }
    }

    private let shared: Shared
    private let host: String
    private let port: Int
    private let group: any EventLoopGroup
    private let logger: Logger
    private let onListening: @Sendable (Int) async -> Void

    /// - Parameter group: the event loops; the server's own where it has to answer whatever others do.
    init(
        _ shared: Shared, host: String, port: Int, group: any EventLoopGroup, logger: Logger,
        onListening: @escaping @Sendable (Int) async -> Void
    ) {
        self.shared = shared
        self.host = host
        self.port = port
        self.group = group
        self.logger = logger
        self.onListening = onListening
    }

    package func run() async throws {
        let shared = shared
        // Each is used by its own loop alone.
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
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [states] channel in
                channel.eventLoop.makeCompletedFuture {
                    let loop = states[ObjectIdentifier(channel.eventLoop)]?.value ?? LoopState(channel.eventLoop)
                    try channel.pipeline.syncOperations.addHandler(HTTPConnection(shared, loop))
                }
            }
            .bind(host: host, port: port).get()
        await onListening(listener.localAddress?.port ?? port)
        try? await gracefulShutdown()  // Fails when it is cancelled, which is a shutdown as well.
        try? await listener.close()  // It fails when it is closed already.
        await shared.slots.quiesce()
    }
}
