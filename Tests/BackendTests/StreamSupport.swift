import ChatCore
import Logging
import Metrics
import ServiceLifecycle
import Testing

extension TestBackend {
    /// Runs `body` with a hub, then shuts that down.
    func withHub(_ limits: StreamLimits = StreamLimits(), _ body: (Hub) async throws -> Void) async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let hub = Hub(backend: backend, limits: limits, logger: logger, metrics: NOOPMetricsHandler.instance)
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [hub], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let result: Result<Void, any Error>
            do {
                try await body(hub)
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

extension ChatSubscription {
    /// The next `count` messages; later ones are dropped.
    func take(_ count: Int) async throws -> [Message] {
        var messages: [Message] = []
        while messages.count < count { messages += try await next().messages }
        #expect(messages.count == count)
        return messages
    }
}

extension Hub {
    /// For a test that has one tenant.
    func subscribe(to chat: Chat.ID, after cursor: Int64?) async throws(ChatError) -> ChatSubscription {
        try await subscribe(to: chat, of: Tenant.ID(1), after: cursor.map { Cursor($0) })
    }
}
