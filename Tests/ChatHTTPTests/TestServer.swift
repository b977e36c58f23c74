import ChatCore
import ChatHTTP
import Foundation
import GRDB
import Logging
import ServiceLifecycle
import TestSupport
import Testing

@testable import ChatSQLite

/// The product's own composition on a temporary database and a free port.
struct TestServer: Sendable {
    let client: Client
    let metrics: PrometheusRegistry
    let routes: [Routes.Route]
    let log: LogRecorder
    /// The real store, behind the gates.
    let store: SQLiteStore
    let service: ChatService
    /// The gate of the server's reads, the probe's too.
    let reads: Gate
    /// The gate of the server's batches.
    let writes: Gate

    static var options: HTTPOptions { HTTPOptions() }

    /// The server's own key. Without it everything works as on a server that has none.
    static let adminKey = AccessKey.random(.admin)

    /// With a deadline that even a slow machine meets, for tests that are not about deadlines.
    static var limits: CommitLimits {
        var limits = CommitLimits()
        limits.deadline = .seconds(60)
        return limits
    }

    /// Runs `body` against a server, then shuts it down as a signal does. Also checks that no answer was a 500.
    static func run<Result: Sendable>(
        limits: CommitLimits = TestServer.limits,
        options: HTTPOptions = HTTPOptions(),
        searchDeadline: Duration = .seconds(60),
        streams: StreamLimits = StreamLimits(),
        policy: AccessPolicy = AccessPolicy(adminKeys: [adminKey], isOpen: true),
        rates: LimitDefaults = LimitDefaults(),
        extraRoutes: (@Sendable (Routes) -> Void)? = nil,
        _ body: @escaping @Sendable (TestServer) async throws -> Result
    ) async throws -> Result {
        let folder = try TemporaryFolder()
        let log = LogRecorder()
        let logger = Logger(label: "test") { _ in log }
        var (store, file) = try SQLiteStore.openExclusively(path: folder.file("test.sqlite"))
        let metrics = PrometheusRegistry(version: "test")
        store.searchDeadline = searchDeadline
        store.observer = ReadObserver(logger: logger, metrics: metrics)
        let faulty = FaultyBackend(
            inner: try Backend(store, file: file, logger: logger), observer: store.observer)
        let service = ChatService(
            backend: faulty.backend, limits: limits, streams: streams, policy: policy, rates: rates, logger: logger,
            metrics: metrics)
        var options = options
        options.port = 0
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        nonisolated(unsafe) var registered: Routes?
        let application = buildServer(
            service: service, options: options, metrics: metrics, logger: logger,
            extraRoutes: { routes in
                extraRoutes?(routes)
                registered = routes
            }, onListening: { port.yield($0) })
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: service.services(around: application), logger: logger))
        let routes = registered?.all ?? []
        let result = try await withThrowingTaskGroup(of: Void.self) { [store] tasks in
            tasks.addTask {
                // A server that cannot listen ends at once: do not wait for its port.
                defer { port.finish() }
                try await group.run()
            }
            var iterator = ports.makeAsyncIterator()
            guard let listening = await iterator.next() else {
                try await tasks.waitForAll()
                throw CancellationError()
            }
            let server = TestServer(
                client: Client(port: listening), metrics: metrics, routes: routes, log: log, store: store,
                service: service, reads: faulty.reads, writes: faulty.writes)
            let result: Swift.Result<Result, any Error>
            do {
                result = .success(try await body(server))
            } catch {
                // Calls that the test still holds must not delay the shutdown.
                for gate in [faulty.reads, faulty.writes] { gate.release() }
                result = .failure(error)
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return result
        }
        try faulty.inner.close()
        withExtendedLifetime(folder) {}
        #expect(!metrics.text().contains("status=\"500\""))
        #expect(log.lines.filter { $0.contains("Unexpected error") } == [])
        return try result.get()
    }

    /// Every row of every table, past the server.
    func contents() throws -> [String] {
        try store.pool.read { db in
            try [
                "applications", "chats", "messages", "idempotency_keys", "application_keys", "chat_members", "audit",
                "pins",
                "chat_reads", "message_reactions",
            ].flatMap { table in
                try Row.fetchAll(db, sql: "SELECT * FROM \(table)").map { "\(table) \($0)" }
            }
        }
    }

    /// The value of a metric's line, for example `luciq_http_connections`; 0 when it is not there.
    func metric(_ line: String) -> Double {
        let text = metrics.text().split(separator: "\n").first { $0.hasPrefix(line + " ") }
        return text.flatMap { $0.split(separator: " ").last }.flatMap { Double($0) } ?? 0
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
