import ChatCore
import ChatHTTP
import ChatSQLite
import Foundation
import Hummingbird
import Logging
import ServiceLifecycle
import TestSupport

/// The product's own composition on a temporary database and a free port.
struct TestServer: Sendable {
    let client: Client
    let metrics: PrometheusRegistry
    let routes: [Routes.Route]
    let log: LogRecorder

    static var options: HTTPOptions { HTTPOptions() }

    /// Runs `body` against a server, then shuts it down the way a signal does.
    ///
    /// - Parameter backend: to put something in a store's way; the real one is given.
    static func run<Result: Sendable>(
        limits: CommitLimits = CommitLimits(),
        options: HTTPOptions = HTTPOptions(),
        backend wrap: (Backend) -> Backend = { $0 },
        _ body: @escaping @Sendable (TestServer) async throws -> Result
    ) async throws -> Result {
        let folder = try TemporaryFolder()
        let log = LogRecorder()
        let logger = Logger(label: "test") { _ in log }
        let backend = wrap(try Backend.sqlite(path: folder.file("test.sqlite")))
        let metrics = PrometheusRegistry()
        let service = ChatService(backend: backend, limits: limits, logger: logger, metrics: metrics)
        var options = options
        options.port = 0
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        nonisolated(unsafe) var registered: Routes?
        let application = buildApplication(
            service: service, backend: backend, options: options, metrics: metrics, logger: logger,
            extraRoutes: { registered = $0 }, onListening: { port.yield($0) })
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: service.services + [application], logger: logger))
        let routes = registered?.all ?? []
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            var iterator = ports.makeAsyncIterator()
            guard let listening = await iterator.next() else { throw CancellationError() }
            let server = TestServer(client: Client(port: listening), metrics: metrics, routes: routes, log: log)
            let result: Swift.Result<Result, any Error>
            do { result = .success(try await body(server)) } catch { result = .failure(error) }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try backend.close()
            withExtendedLifetime(folder) {}
            return try result.get()
        }
    }
}

/// Keeps what is logged.
final class LogRecorder: LogHandler, @unchecked Sendable {
    private let lock = NSLock()
    private var recorded: [String] = []
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    var lines: [String] { lock.withLock { recorded } }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) {
        lock.withLock { recorded.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
    }
}

extension Answer {
    var code: String? { json["code"] as? String }
    var errors: [String]? { json["errors"] as? [String] }
    var numbers: [Int] { list.compactMap { $0["number"] as? Int } }
}
