import Foundation
import TestSupport
import Testing

extension ClusterTests {
    /// One limit over two servers: what both let through together.
    @Suite(.serialized) struct Limits {
        private static let perSecond = 100.0
        private static let burst = 300.0

        /// What a bucket has given while it was asked all the time.
        private struct Asked {
            let start: ContinuousClock.Instant
            /// When somebody sent its last request, so that nothing came back unasked before.
            let lastSent: ContinuousClock.Instant
            let end: ContinuousClock.Instant
            let allowed: Int

            /// - Parameter share: by how much it may be wrong.
            func isExact(within share: Double) -> Bool {
                let most = Limits.burst + (end - start) / .seconds(1) * Limits.perSecond
                let least = Limits.burst + (lastSent - start) / .seconds(1) * Limits.perSecond
                return Double(allowed) <= most * (1 + share) && Double(allowed) >= least * (1 - share)
            }
        }

        @Test func bothServersTogetherGiveTheLimit() async throws {
            let mariadb = try await MariaDBServer.start()
            let redis = try await RedisServer.start()
            let cluster = try await Cluster.start(2, mariadb: mariadb, redis: redis.url())
            let started = ContinuousClock.now
            let shared = try await ask(cluster, limited(cluster), attempts: 3000)
            #expect(shared.isExact(within: 0.05), "\(shared)")
            // Each server says every ten seconds that it is there, and hears then who else is.
            try await eventually("both have said it twice", within: 40) {
                try await signs(redis) == 2 && ContinuousClock.now - started > .seconds(15)
            }

            // A bucket that both servers know when Redis goes, and one that neither does.
            let (known, new) = (try await limited(cluster), try await limited(cluster))
            let before = try await ask(cluster, known, attempts: 200)
            redis.kill()
            let after = try await ask(cluster, known, attempts: 3000)
            let both = Asked(
                start: before.start, lastSent: after.lastSent, end: after.end, allowed: before.allowed + after.allowed)
            #expect(both.isExact(within: 0.25), "\(before), \(after)")
            let alone = try await ask(cluster, new, attempts: 3000)
            #expect(alone.isExact(within: 0.25), "\(alone)")
        }

        /// An application whose reads are limited.
        private func limited(_ cluster: Cluster) async throws -> String {
            let client = cluster.nodes[0].client
            let path = try await client.makeApplication()
            let limit = #"{"per_minute":\#(Int(Self.perSecond * 60)),"burst":\#(Int(Self.burst))}"#
            let answer = try await client.send(
                "PATCH", path, json: #"{"limits":{"application":{"read":\#(limit)}}}"#)
            #expect(answer.status == 200)
            try await eventually("the other server knows") {
                try await cluster.nodes[1].client.get(path)["RateLimit"] != nil
            }
            return path
        }

        /// Sends so many requests, half of them to each server.
        private func ask(_ cluster: Cluster, _ path: String, attempts: Int) async throws -> Asked {
            let (start, writers) = (ContinuousClock.now, 8)
            return await withTaskGroup(of: (allowed: Int, lastSent: ContinuousClock.Instant).self) { tasks in
                for writer in 0..<writers {
                    tasks.addTask {
                        var caller = Caller(cluster.nodes, patience: 60)
                        var (allowed, lastSent) = (0, start)
                        for _ in 0..<attempts / writers {
                            lastSent = .now
                            let answer = await caller.send("GET", path, to: writer)
                            #expect([200, 429].contains(answer?.status), "\(answer?.text ?? "no answer")")
                            if answer?.status == 200 { allowed += 1 }
                        }
                        return (allowed, lastSent)
                    }
                }
                var (allowed, lastSent) = (0, ContinuousClock.now + .seconds(3600))
                for await part in tasks {
                    allowed += part.allowed
                    lastSent = min(lastSent, part.lastSent)
                }
                return Asked(start: start, lastSent: lastSent, end: .now, allowed: allowed)
            }
        }

        /// How many servers have said lately that they are there.
        private func signs(_ redis: RedisServer) async throws -> Int {
            let keys = try await redis.cli("KEYS", "luciq:*:processes").split(separator: "\n")
            guard let key = keys.first else { return 0 }
            return Int(try await redis.cli("ZCARD", String(key))) ?? 0
        }
    }
}
