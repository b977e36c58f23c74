import TestSupport
import Testing

extension ClusterTests {
    @Suite(.serialized) struct Failover {
        /// The primary is killed under load, and its replica, which has every answered message, becomes the primary.
        @Test func nothingIsLostWithASemiSynchronousPrimary() async throws {
            let pair = try await ReplicaPair.start(isSemiSynchronous: true)
            let redis = try await RedisServer.start()
            let cluster = try await Cluster.start(2, mariadb: pair.old, by: [pair.proxy.port], redis: redis.url())
            let load = try await Load(on: cluster, patience: 25)
            try await load.endure(1) { _ in
                let isOn = try await pair.old.sql("SHOW STATUS LIKE 'Rpl_semi_sync_master_status'")
                #expect(isOn.hasSuffix("ON"))
                pair.old.kill()
                try await pair.useUp()
                try await pair.promote()
                try await load.see(answers: 200)
            }
            try await load.expectPromisesKept()
            #expect(try await pair.new.sql("SELECT COUNT(*) FROM messages WHERE batch_id > 0") == "\(load.total)")
        }
    }
}
