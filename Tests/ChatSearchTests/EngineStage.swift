import ChatCluster
import ChatCore
import ChatSQLite
import ChatSearch
import Foundation
import Logging
import Metrics
import MySQLClient
import RedisClient
import ServiceLifecycle
import TestSupport

enum BackendKind: String, CaseIterable, Sendable { case sqlite, cluster }

/// A backend on an empty database, with a tenant, an engine, and searches through it. The feed runs when the test says so.
struct EngineStage: Sendable {
    let backend: Backend
    let engine: ElasticsearchEngine
    let url: String
    let tenant: Tenant.ID
    let service: ChatService
    let scope: TenantScope

    static let time = Timestamp(microseconds: 1_763_830_664_194_123)
    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Pauses that only cost the tests time.
    static var limits: EngineFeedLimits {
        var limits = EngineFeedLimits()
        limits.pause = .milliseconds(20)
        limits.firstPause = .milliseconds(5)
        limits.retryPause = .milliseconds(100)
        limits.firstRebuild = .milliseconds(50)
        return limits
    }

    /// Searches try a failed engine again at once.
    static var searchLimits: EngineSearchLimits {
        var limits = EngineSearchLimits()
        limits.firstRest = .milliseconds(1)
        limits.longestRest = .milliseconds(1)
        return limits
    }

    /// - Parameter url: the engine's; nil for the shared one.
    static func run(
        _ kind: BackendKind, url: String? = nil, limits: EngineSearchLimits = searchLimits,
        _ body: (EngineStage) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        let backend: Backend
        switch kind {
        case .sqlite: backend = try Backend.sqlite(path: folder.file("test.sqlite"), logger: logger)
        case .cluster:
            var configuration = ClusterConfiguration(
                mysql: try MySQLConfiguration(url: await SharedServers.freshDatabase()),
                redis: try RedisConfiguration(url: await SharedServers.freshRedisDatabase()))
            configuration.migrates = true
            configuration.patience = .seconds(30)
            backend = try await Backend.cluster(configuration, logger: logger)
        }
        let address: String
        if let url { address = url } else { address = try await SharedServers.engineURL }
        let engine = try engine(at: address)
        let service = ChatService(
            backend: backend, engine: EngineSearch(engine, backend.generations, limits: limits, logger: logger),
            logger: logger, metrics: NOOPMetricsHandler.instance)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: service.services, logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let result: Result<Void, any Error>
            do {
                let token = try await service.createTenant(name: "test").token
                let scope = try await service.access(Credentials(application: token.text[...])).tenant
                try await body(
                    EngineStage(
                        backend: backend, engine: engine, url: address, tenant: scope.id, service: service,
                        scope: scope))
                result = .success(())
            } catch {
                result = .failure(error)
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try backend.close()
            try result.get()
        }
    }

    /// An engine with indexes of its own.
    static func engine(at url: String) throws -> ElasticsearchEngine {
        var configuration = try EngineConfiguration(
            url: url, index: "test-\(UUID().uuidString.prefix(13).lowercased())")
        configuration.searchTimeout = .seconds(20)  // A slow machine must not fail the test.
        return try ElasticsearchEngine(configuration)
    }

    func makeChat(in tenant: Tenant.ID? = nil) async throws -> Chat.ID {
        let tenant = tenant ?? self.tenant
        let chat = try await backend.newChatLog.append([NewChat(tenant: tenant)], at: Self.time)[0].get()
        guard let id = try await backend.chats.id(of: chat.number, in: tenant) else { throw ChatError.notFound }
        return id
    }

    func send(_ bodies: [String], to chat: Chat.ID, in tenant: Tenant.ID? = nil, at time: Timestamp = time) async throws
    {
        let tenant = tenant ?? self.tenant
        for some in bodies.chunks(of: 500) {
            for result in try await backend.chatLog.append(
                some.map { NewMessage(tenant: tenant, chat: chat, body: $0, key: nil) }, at: time)
            { _ = try result.get() }
        }
    }

    /// Feeds until the live index has everything.
    func feed() async throws {
        try await whileFed {
            try await eventually("the engine has everything") {
                let live = try await backend.generations.generations().first { $0.state == .live }
                guard let live else { return false }
                return try await backend.generations.unfedCount(of: live.id) == 0
            }
        }
    }

    /// Runs the feed beside `body`.
    func whileFed(
        _ limits: EngineFeedLimits = limits, by feeds: Int = 1, _ body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for _ in 0..<feeds {
                tasks.addTask {
                    try await EngineFeed(engine, EngineSource(backend), limits: limits, logger: Self.logger).run()
                }
            }
            let result: Result<Void, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            tasks.cancelAll()
            try await tasks.waitForAll()
            try result.get()
        }
    }

    func search(_ text: String, _ page: TenantSearchPage = TenantSearchPage(limit: 100)) async throws -> TenantHits {
        try await search(SearchQuery(SearchText(text)), page)
    }

    func search(
        _ query: SearchQuery, _ page: TenantSearchPage, after cursor: SearchCursor? = nil
    ) async throws -> TenantHits {
        try await scope.search(query, page, after: cursor, from: .unspecified).found
    }

    var upkeep: EngineUpkeep { EngineUpkeep(engine, EngineSource(backend), limits: Self.limits) }
}
