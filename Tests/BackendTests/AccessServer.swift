import ChatHTTP
import Foundation
import Logging
import ServiceLifecycle
import TestSupport
import Testing

@testable import ChatCore

/// The product's own HTTP server on either backend.
struct AccessServer: Sendable {
    let client: Client
    let service: ChatService
    let routes: [Routes.Route]
    let test: TestBackend
    let serverKey: AccessKey
    let metrics: PrometheusRegistry

    static func run(
        _ kind: BackendKind, isOpen: Bool = false, rates: LimitDefaults = LimitDefaults(),
        options: HTTPOptions = HTTPOptions(), clock: WallClock = .system,
        _ body: @escaping @Sendable (AccessServer) async throws -> Void
    ) async throws {
        let metrics = PrometheusRegistry(version: "test")
        try await TestBackend.run(kind, metrics: metrics) { test in
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let serverKey = AccessKey.random(.admin)
            let service = ChatService(
                backend: test.backend,
                policy: AccessPolicy(adminKeys: [serverKey], isOpen: isOpen, takesDemoKeys: true), rates: rates,
                clock: clock, logger: logger, metrics: metrics)
            var options = options
            options.port = 0
            let (ports, port) = AsyncStream.makeStream(of: Int.self)
            nonisolated(unsafe) var registered: Routes?
            let server = buildServer(
                service: service, options: options, metrics: metrics, logger: logger,
                extraRoutes: { registered = $0 }, onListening: { port.yield($0) })
            let routes = registered?.all ?? []
            // The backend's own run already, and come first.
            let services = service.services(around: server).dropFirst(test.backend.services.count)
            let group = ServiceGroup(
                configuration: ServiceGroupConfiguration(services: Array(services), logger: logger))
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    defer { port.finish() }
                    try await group.run()
                }
                var iterator = ports.makeAsyncIterator()
                let listening = try #require(await iterator.next())
                let result: Result<Void, any Error>
                do {
                    try await body(
                        AccessServer(
                            client: Client(port: listening), service: service, routes: routes, test: test,
                            serverKey: serverKey, metrics: metrics))
                    result = .success(())
                } catch {
                    result = .failure(error)
                }
                await group.triggerGracefulShutdown()
                try await tasks.waitForAll()
                try result.get()
            }
        }
    }

    /// How many reads of each kind the store has done, of those that requests make.
    var reads: [String: Int] {
        var reads: [String: Int] = [:]
        for line in metrics.text().split(separator: "\n") where line.hasPrefix("luciq_store_read_seconds_count{") {
            guard let space = line.lastIndex(of: " "), let count = Double(line[line.index(after: space)...]) else {
                continue
            }
            reads[String(line[..<space])] = Int(count)
        }
        return reads
    }

    static func bearer(_ key: AccessKey) -> [String: String] { ["Authorization": "Bearer \(key.text)"] }

    /// The scope that the server's own key has.
    func scope(of name: Tenant.Name) async throws -> TenantScope {
        try await service.access(Credentials(application: name.text[...], authorization: .key(serverKey))).tenant
    }

    /// An application with a chat that has a message, and a key.
    func makeApplication() async throws -> Application {
        let new = try await service.createTenant(name: "a", by: .key(serverKey))
        let scope = try await scope(of: .publicID(new.publicID))
        let chat = try await scope.chat("\(scope.createChat().number.rawValue)")
        _ = try await chat.send(MessageContent(body: "x"))
        let victim = try await scope.createKey(name: "victim", scopes: .read).stored.id
        return Application(new: new, scope: scope, victim: victim)
    }

    /// Makes a token the only one again.
    func takeBack(_ token: Tenant.Token, of application: Application) async throws {
        for new in [.random(), token] {
            _ = try await test.backend.tenantLog.apply(
                [.rotate(application.scope.id, to: new, oldUntil: TestBackend.time)], at: TestBackend.time)
        }
        service.authenticator.forgetAll()
    }

    struct Application: Sendable {
        let new: NewTenant
        let scope: TenantScope
        /// A key that nobody uses.
        let victim: AccessKey.ID

        func key(_ scopes: Abilities, expiresAt: Timestamp? = nil) async throws -> AccessKey {
            try await scope.createKey(name: "k", scopes: scopes, expiresAt: expiresAt).shown
        }
    }
}

extension Answer {
    var code: String? { json["code"] as? String }
    var errors: [String]? { json["errors"] as? [String] }

    /// All but what depends on the request's own headers: its id, and whether it was the connection's last.
    var shape: [String] {
        var json = json
        json["instance"] = nil
        let headers = headers.filter { !["X-Request-Id", "Date", "Content-Length", "Connection"].contains($0.name) }
        return ["\(status)"] + headers.map { "\($0.name)=\($0.value)" } + json.map { "\($0)=\($1)" }.sorted()
    }
}
