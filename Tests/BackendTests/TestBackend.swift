import ChatCluster
import ChatCore
import ChatSQLite
import Foundation
import Logging
import Metrics
import MySQLClient
import RedisClient
import ServiceLifecycle
import TestSupport
import Testing

/// The implementations that must behave alike.
enum BackendKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case sqlite, cluster

    var testDescription: String { rawValue }
}

/// A backend on an empty database of its own, with a tenant.
struct TestBackend: Sendable {
    var backend: Backend
    let keeper: any StoreKeeper
    let tenant: Tenant.ID
    let token: Tenant.Token

    static let time = Timestamp(microseconds: 1_763_830_664_194_123)

    /// Runs `body` with a backend whose services run, then shuts them down.
    static func run(
        _ kind: BackendKind, metrics: any MetricsFactory = NOOPMetricsHandler.instance,
        _ body: (TestBackend) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let backend: Backend
        let keeper: any StoreKeeper
        switch kind {
        case .sqlite:
            backend = try Backend.sqlite(path: folder.file("test.sqlite"), logger: logger, metrics: metrics)
            keeper = SQLiteKeeper(path: folder.file("test.sqlite"))
        case .cluster:
            var configuration = ClusterConfiguration(
                mysql: try MySQLConfiguration(url: await SharedServers.freshDatabase()),
                redis: try RedisConfiguration(url: await SharedServers.freshRedisDatabase()))
            configuration.migrates = true
            // A slow machine must not fail the test.
            (configuration.patience, configuration.readPatience) = (.seconds(30), .seconds(30))
            backend = try await Backend.cluster(configuration, logger: logger, metrics: metrics)
            keeper = MySQLKeeper(configuration, logger: logger)
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: backend.services, logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            if !backend.services.isEmpty { tasks.addTask { try await group.run() } }
            let result: Result<Void, any Error>
            do {
                let token = Tenant.Token.random()
                _ = try await backend.tenantLog.apply([.create(name: "test", token: token)], at: time)
                guard let tenant = try await backend.tenants.id(of: token) else { throw ChatError.notFound }
                try await body(TestBackend(backend: backend, keeper: keeper, tenant: tenant, token: token))
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

    func makeChat(in tenant: Tenant.ID? = nil) async throws -> Chat.ID {
        let tenant = tenant ?? self.tenant
        let chat = try await backend.newChatLog.append([NewChat(tenant: tenant)], at: Self.time)[0].get()
        guard let id = try await backend.chats.id(of: chat.number, in: tenant) else { throw ChatError.notFound }
        return id
    }

    func new(_ body: String, in chat: Chat.ID, key: String? = nil) throws -> NewMessage {
        let key = try key.map { try IdempotencyKey($0, content: body.utf8) }
        return NewMessage(tenant: tenant, chat: chat, body: body, key: key)
    }

    /// Appends one batch.
    @discardableResult
    func send(_ bodies: [String], to chat: Chat.ID, at time: Timestamp = time) async throws -> [Int64] {
        try await backend.chatLog.append(bodies.map { try new($0, in: chat) }, at: time)
            .map { try $0.get().number.rawValue }
    }

    func list(_ chat: Chat.ID, _ page: Page = Page()) async throws -> PageOf<Message> {
        try await backend.messages.messages(in: chat, page: page)
    }

    func verify() async throws -> StoreReport { try await keeper.verify(mends: false) { _, _ in } }
}

extension PageOf where Item == Message {
    var numbers: [Int64] { items.map(\.number.rawValue) }
}
