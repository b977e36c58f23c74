import Metrics
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// Changes of members reach the other processes without Redis, by the table `member_changes`; creates do not wait for that.
@Suite(.timeLimit(.minutes(3))) struct MemberWatchTests {
    /// Two processes on one database, whose Redis tells neither of the other.
    private func run(_ body: @Sendable ([ChatService]) async throws -> Void) async throws {
        let mysql = try await SharedServers.freshDatabase()
        var services: [ChatService] = []
        for _ in 0..<2 {
            var configuration = try await TestCluster.configuration(
                mysql: mysql, redis: try await SharedServers.freshRedisDatabase())
            configuration.migrates = true
            configuration.accessInterval = .milliseconds(100)
            let backend = try await Backend.cluster(configuration, logger: TestCluster.logger)
            services.append(
                ChatService(backend: backend, logger: TestCluster.logger, metrics: NOOPMetricsHandler.instance))
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services.flatMap { $0.services + [$0.hub] }, logger: TestCluster.logger))
        try await withThrowingTaskGroup(of: Void.self) { [services] tasks in
            tasks.addTask { try await group.run() }
            let result: Result<Void, any Error>
            do { result = .success(try await body(services)) } catch { result = .failure(error) }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try result.get()
        }
    }

    @Test func aRemovalHoldsInTheOtherProcess() async throws {
        try await run { services in
            let new = try await services[0].createTenant(name: "a")
            let owner = try await services[0].access(Credentials(application: new.token.text[...])).tenant
            let signing = try await owner.createTokenKey().key
            guard case .secret(let secret) = signing.material else { throw ChatError.notFound }
            let chat = try await owner.chat("\(owner.createChat(Chat.Patch(access: .members)).number.rawValue)")
            let now = WallClock.system.now()
            let token = UserToken.sign(
                for: User.ID("u1")!, audience: new.publicID.text, issuedAt: now, expiresAt: now.adding(.seconds(600)),
                keyID: signing.id, secret: secret)
            let access = try await services[1].access(
                Credentials(application: new.publicID.text[...], authorization: .userToken(token)))
            for role in [nil, Member.Role.banned] {
                _ = try await chat.setMember(User.ID("u1")!, role: .member)
                try await eventually("it is a member there") {
                    (try? await access.tenant.chat("1"))?.standing?.role == .member
                }
                let theirs = try await access.tenant.chat("1")
                let stream = try await theirs.subscribe(after: Cursor(0))
                let seen = Seen()
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    tasks.addTask {
                        do throws(StreamEnd) {
                            while true {
                                let numbers = try await stream.next().messages.map(\.number.rawValue)
                                seen.received.withLock { $0 += numbers }
                            }
                        } catch {
                            seen.ended.withLock { $0 = error }
                        }
                    }
                    for _ in 0..<4 {
                        tasks.addTask {
                            do {
                                while true {
                                    let wasAnswered = seen.isAnswered.withLock(\.self)
                                    _ = try await theirs.send(MessageContent(body: "m", sender: User.ID("u1")))
                                    if wasAnswered { seen.late.withLock { $0 += 1 } }
                                }
                            } catch {
                                #expect([.notFound, .insufficientRole].contains(error as? ChatError), "\(error)")
                            }
                        }
                    }
                    try await eventually("it is busy") { seen.received.withLock { $0.count > 50 } }
                    if let role {
                        _ = try await chat.setMember(User.ID("u1")!, role: role)
                    } else {
                        try await chat.removeMember(User.ID("u1")!)
                    }
                    let count = try await chat.messageCount()
                    seen.isAnswered.withLock { $0 = true }
                    try await eventually("its stream ends") { seen.ended.withLock(\.self) == .notFound }
                    try await tasks.waitForAll()
                    #expect(try await chat.messageCount() == count)
                    #expect(seen.late.withLock(\.self) == 0)
                }
                let later = try await chat.send(MessageContent(body: "later")).number.rawValue
                #expect(seen.received.withLock { $0.contains { $0 >= later } } == false)
                await #expect(throws: ChatError.notFound) { try await access.tenant.chat("1").subscribe() }
            }
        }
    }

    private final class Seen: Sendable {
        let received = Mutex<[Int64]>([])
        /// Creates that began after the answer, and were stored.
        let late = Mutex(0)
        let isAnswered = Mutex(false)
        let ended = Mutex<StreamEnd?>(nil)
    }
}
