import ChatCore
import Logging
import Metrics
import RedisClient
import ServiceLifecycle
import TestSupport
import Testing

@testable import ChatCluster

/// A process of a cluster, as far as streams go: a store with its bus, and a hub.
struct StreamNode: Sendable {
    let backend: Backend
    let hub: Hub

    /// Runs `body` with as many processes as there are Redis URLs, all on one database.
    static func run(
        mysql: String? = nil, redis urls: [String], _ body: ([StreamNode], TestCluster) async throws -> Void
    ) async throws {
        let mysqlURL = if let mysql { mysql } else { try await SharedServers.freshDatabase() }
        try await TestCluster.run(TestCluster.configuration(mysql: mysqlURL, redis: urls[0])) { test in
            var nodes: [StreamNode] = []
            for url in urls {
                let backend = try await Backend.cluster(
                    TestCluster.configuration(mysql: mysqlURL, redis: url), logger: TestCluster.logger)
                nodes.append(
                    StreamNode(
                        backend: backend,
                        hub: Hub(
                            backend: backend, logger: TestCluster.logger, metrics: NOOPMetricsHandler.instance)))
            }
            let group = ServiceGroup(
                configuration: ServiceGroupConfiguration(
                    services: nodes.flatMap(\.backend.services) + nodes.map(\.hub), logger: TestCluster.logger))
            try await withThrowingTaskGroup(of: Void.self) { [nodes] tasks in
                tasks.addTask { try await group.run() }
                let result: Result<Void, any Error>
                do {
                    try await body(nodes, test)
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

    var isHearing: Bool { backend.bus.hearing == .usual }

    func waitUntilHearing() async throws { try await eventually("the bus hears") { isHearing } }

    @discardableResult
    func send(_ body: String, to chat: Chat.ID, _ test: TestCluster) async throws -> Int64 {
        let new = NewMessage(tenant: test.tenant, chat: chat, body: body)
        return try await backend.chatLog.append([new], at: WallClock.system.now())[0].get().number.rawValue
    }
}

extension ChatSubscription {
    /// The next `count` messages; later ones are dropped.
    func take(_ count: Int) async throws -> [Message] {
        var messages: [Message] = []
        while messages.count < count { messages += try await next().messages }
        #expect(messages.count == count)
        return messages
    }
}

extension [Message] {
    var numbers: [Int64] { map(\.number.rawValue) }
}

extension Hub {
    /// For a test that has one tenant.
    func subscribe(to chat: Chat.ID, after cursor: Int64?) async throws(ChatError) -> ChatSubscription {
        try await subscribe(to: chat, of: Tenant.ID(1), after: cursor.map { Cursor($0) })
    }
}
