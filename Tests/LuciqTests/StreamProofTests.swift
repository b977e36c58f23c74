import Foundation
import TestSupport
import Testing

/// Promise 5, under all faults that it covers: a stream misses nothing and repeats nothing.
@Suite(.serialized, .timeLimit(.minutes(5))) struct StreamProofTests {
    struct Scene: Sendable {
        let servers: StreamServers
        let proxies: [StreamProxy]
        let writers: StreamWriters
    }

    struct Trouble: Sendable {
        let strike: @Sendable (Scene) async throws -> Void

        private init(_ strike: @escaping @Sendable (Scene) async throws -> Void) { self.strike = strike }

        static func killed(_ index: Int) -> Trouble { Trouble { try await $0.servers.replace(index, by: SIGKILL) } }
        static func stopped(_ index: Int) -> Trouble { Trouble { try await $0.servers.replace(index, by: SIGTERM) } }
        static func proxy(_ index: Int) -> Trouble { Trouble { try await $0.proxies[index].restart() } }

        static let flush = onRedis { redis, _ in _ = try await redis.cli("FLUSHALL") }
        static let redisKilled = onRedis { redis, writers in
            redis.kill()
            try await writers.see(answers: 200)
            try await redis.restart(empty: true)
        }

        private static func onRedis(
            _ strike: @escaping @Sendable (RedisServer, StreamWriters) async throws -> Void
        ) -> Trouble {
            Trouble { scene in
                if case .cluster(_, let redis) = scene.servers.store { try await strike(redis, scene.writers) }
            }
        }
    }

    @Test func embedded() async throws {
        try await prove(
            1, on: .embedded, [.killed(0), .proxy(0), .killed(0), .proxy(1), .stopped(0), .killed(0)])
    }

    @Test func cluster() async throws {
        let (mariadb, redis) = (try await MariaDBServer.start(), try await RedisServer.start())
        try await prove(
            3, on: .cluster(mariadb, redis),
            [
                .killed(0), .flush, .proxy(0), .redisKilled, .killed(1), .proxy(1), .flush, .stopped(2), .redisKilled,
                .killed(0),
            ])
    }

    /// 1,000 subscribers of 50 chats and 64 writers, while connections are cut at random and faults are spread over the
    /// run: each subscriber receives exactly what the database holds.
    private func prove(_ count: Int, on store: StreamServers.Store, _ troubles: [Trouble]) async throws {
        let (chats, last) = (50, "the last one")
        let servers = try await StreamServers.start(count, on: store)
        var proxies: [StreamProxy] = []
        for kind in StreamProxy.Kind.allCases { proxies.append(try await .start(kind, before: servers.ports)) }
        let ports = servers.ports + proxies.map(\.port)
        let application = try await servers.client().makeApplication()
        for _ in 0..<chats { _ = try await servers.client().send("POST", application + "/chats") }
        let writers = StreamWriters(6000, to: application, chats: chats, at: ports)
        let crowd = StreamCrowd(of: application, chats: chats, at: ports)
        let scene = Scene(servers: servers, proxies: proxies, writers: writers)

        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await crowd.run { try await writers.reach(0.5) } }
            try await crowd.waitForTheEarly()
            tasks.addTask { await crowd.cutAtRandom() }
            async let writing: Void = writers.run()
            for (index, trouble) in troubles.enumerated() {
                try await writers.reach(Double(index + 1) / Double(troubles.count + 1))
                try await trouble.strike(scene)
            }
            try await writing
            // Nothing announces the last messages, and no later message reveals that they are missing.
            if case .cluster(_, let redis) = store { redis.kill() }
            try await writers.finish(last)
            try await crowd.waitForTheEnd(last)
            if case .cluster(_, let redis) = store { try await redis.restart(empty: true) }
            tasks.cancelAll()
            // Cancelled is how they end.
            while let result = await tasks.nextResult() { _ = result }
        }

        let stored = try await servers.rows()
        crowd.expectSame(stored)
        #expect(writers.problems.isEmpty)
        for (chat, answered) in writers.answered {
            let rows = Dictionary(uniqueKeysWithValues: (stored[chat] ?? []).map { ($0.number, $0.body) })
            #expect(rows == answered, "chat \(chat)")
        }
        // Otherwise the test has proved nothing.
        #expect(writers.failures > 0)
        #expect(crowd.clients.map(\.connections).reduce(0, +) > 2 * crowd.clients.count)
        let complaints = try await servers.complaints()
        #expect(complaints.isEmpty, "\(complaints)")
    }
}
