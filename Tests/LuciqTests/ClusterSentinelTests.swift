import Foundation
import TestSupport
import Testing

extension ClusterTests {
    /// Redis with a replica and sentinels.
    @Suite(.serialized) struct Sentinels {
        /// A promoted replica that missed the last writes proposes numbers that were already given.
        @Test func aReplicaThatIsBehindTakesOver() async throws {
            let redis = try await RedisSentinelSet.start()
            let mariadb = try await MariaDBServer.start()
            let cluster = try await Cluster.start(
                2, mariadb: mariadb, redis: redis.url(), settings: ["REQUEST_TIMEOUT": "2"])
            let load = try await Load(on: cluster)
            try await load.endure(1) { _ in
                // The frozen replica does not reconnect: from here on it receives no writes.
                redis.replica.freeze()
                _ = try await redis.primary.cli("CLIENT", "KILL", "TYPE", "replica")
                try await load.see(answers: 500)
                redis.killPrimary()
                redis.replica.thaw()
                // The servers correct a counter that is behind what they know; only the unique index knows the rest.
                #expect(try await redis.replica.numbersGiven() + 100 < mariadb.messages())
            }
            try await redis.awaitFailover()
            try await eventually("the servers know the new primary, and have put its counters right") {
                try await load.run(more: 2)
                return try await redis.replica.numbersGiven() >= mariadb.messages()
            }
            #expect(load.failures == 0)
            try await cluster.expectHealed(after: load)
        }
    }
}
