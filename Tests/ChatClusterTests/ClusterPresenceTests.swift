import NIOPosix
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// Who is online, in Redis.
@Suite(.timeLimit(.minutes(2))) struct ClusterPresenceTests {
    private let ann = PresentUser(tenant: Tenant.ID(1), user: User.ID("ann")!)
    private let ben = PresentUser(tenant: Tenant.ID(1), user: User.ID("ben: \u{E9}")!)

    private func key(_ user: PresentUser, _ test: TestCluster) async throws -> String {
        let keys = try await test.store.redis.send(RedisCommand("KEYS", "luciq:*:presence:*:\(user.user.text)"))
        return try #require(keys.array?.first?.string)
    }

    /// For a minute, and not for longer whatever somebody else has written.
    @Test func aRenewalLastsAMinute() async throws {
        try await TestCluster.run { test in
            let presence = test.store.presence
            #expect(try await presence.online(among: [ann, ben]) == [])
            try await presence.renew([ann, ben])
            #expect(try await presence.online(among: [ann, ben]) == [ann, ben])
            #expect(try await presence.online(among: [PresentUser(tenant: Tenant.ID(2), user: ann.user)]) == [])
            try await presence.remove(ben)
            #expect(try await presence.online(among: [ann, ben]) == [ann])
            let name = try await key(ann, test)
            let redis = test.store.redis
            let life = try await redis.send(RedisCommand("PTTL", name)).integer ?? 0
            #expect((50_000...60_000).contains(life))
            for command in [RedisCommand("PERSIST", name), RedisCommand("EXPIRE", name, "3600")] {
                _ = try await redis.send(command)
                #expect(try await presence.online(among: [ann]) == [], "\(command)")
                try await presence.renew([ann])
                #expect(try await presence.online(among: [ann]) == [ann])
            }
            _ = try await redis.send(RedisCommand("PEXPIRE", name, "1"))
            try await eventually("it ends") { try await presence.online(among: [ann]) == [] }
        }
    }

    /// A user who comes to one process is told of by another; and one whom nobody renews goes.
    @Test func processesTellEachOther() async throws {
        let redis = try await SharedServers.freshRedisDatabase()
        try await StreamNode.run(redis: [redis, redis]) { nodes, test in
            for node in nodes { try await node.waitUntilHearing() }
            let (one, other) = (node(nodes[0], [ann]), node(nodes[1], []))
            nodes[1].backend.bus.listen { if case .online(let users) = $0 { other.hear(users) } }
            let watch = try await other.watch([ann.user], of: ann.tenant)
            #expect(watch.take {} == [UserPresence(user: ann.user, isOnline: false)])
            one.arrive(ann)
            await one.tick()
            try await eventually("it is told") {
                // The other may not have subscribed yet.
                nodes[0].backend.bus.publish(online: [ann])
                return watch.take {} == [UserPresence(user: ann.user, isOnline: true)]
            }
            #expect(try await other.online(among: [ann]) == [ann])
            _ = try await test.store.redis.send(RedisCommand("PEXPIRE", try await key(ann, test), "1"))
            try await eventually("it ends") { try await other.online(among: [ann]) == [] }
        }
    }

    private func node(_ node: StreamNode, _ connected: Set<PresentUser>) -> Presence {
        Presence(store: node.backend.presence!, bus: node.backend.bus, time: .continuous) { connected }
    }

    /// Who is online is not known without Redis.
    @Test func withoutRedisNobodyKnows() async throws {
        let redis = RedisClient(
            try RedisConfiguration(url: TestDatabase.deadRedis), group: MultiThreadedEventLoopGroup.singleton,
            logger: TestCluster.logger)
        let presence = RedisPresence(redis: redis, deployment: "d")
        await #expect(throws: ChatError.self) { try await presence.online(among: [ann]) }
        await #expect(throws: ChatError.self) { try await presence.renew([ann]) }
    }

    @Test func aPayloadIsReadAsItWasWritten() {
        func read(_ payload: [UInt8]) -> [PresentUser]? {
            if case .online(let users) = BusPayload.presenceEvent(payload) { users } else { nil }
        }
        #expect(read(BusPayload.encode(online: [ann, ben])) == [ann, ben])
        let many = (0..<5000).map { PresentUser(tenant: Tenant.ID(1), user: User.ID("u\($0)")!) }
        #expect(read(BusPayload.encode(online: many))?.count == BusPayload.mostOnline)
        for payload in [
            #"{"online":[]}"#, #"{"online":[{"application":1}]}"#, #"{"online":[{"application":1,"user":""}]}"#,
            #"{"online":[{"application":1.5,"user":"ann"}]}"#, #"{"online":{}}"#, #"{"gone":[]}"#, #"{"online":["#,
            "[]",
        ] {
            #expect(read(Array(payload.utf8)) == nil, "\(payload)")
        }
    }
}
