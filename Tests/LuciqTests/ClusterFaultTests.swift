import Foundation
import TestSupport
import Testing

/// Faults of every part, one after the other, beside `ClusterTests`: they are the longest row of tests.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ClusterFaultTests {
    /// Faults of every part during a load: every answered message is stored once, at its number.
    @Test(arguments: Fault.all)
    func nothingIsLost(_ fault: Fault) async throws {
        let mariadb = try await MariaDBServer.start()
        _ = try await mariadb.sql("CREATE USER other@'127.0.0.1'")
        let redis = try await RedisServer.start()
        let cluster = try await Cluster.start(
            fault.nodes, mariadb: mariadb, redis: redis.url(),
            settings: ["REQUEST_TIMEOUT": "\(fault.requestTimeout)"])
        let load = try await Load(
            on: cluster, messagesPerWriter: fault.messagesPerWriter, patience: fault.patience)
        try await load.endure(fault.rounds) { round in
            try await fault.strike(Fault.Scene(cluster: cluster, redis: redis, load: load, round: round))
        }
        try await cluster.expectHealed(after: load)
    }

    /// The database's files on a disk of their own, small enough to fill it.
    @Test(.enabled("only root may mount one", { await SmallDisk.isPossible() }))
    func aFullDiskLosesNothing() async throws {
        let disk = try await SmallDisk.make(mebibytes: 160)
        do {
            let mariadb = try await MariaDBServer.start(in: disk.folder)
            let redis = try await RedisServer.start()
            let cluster = try await Cluster.start(
                2, mariadb: mariadb, redis: redis.url(), settings: ["REQUEST_TIMEOUT": "2"])
            // Messages stored while the disk is full do not fit into the space that the database has reserved.
            let load = try await Load(on: cluster, bodySize: 6000)
            try await load.endure(3) { _ in
                try disk.fill()
                try await load.see(failures: 20)
                try disk.makeRoom()
            }
            #expect(load.failures >= 60)
            try await cluster.expectHealed(after: load)
            mariadb.kill()
        }
        try await disk.unmount()
    }
}

extension Load {
    /// Runs while `strike` is called that often, spread over the load.
    func endure(_ rounds: Int, strike: @escaping @Sendable (_ round: Int) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.run() }
            group.addTask {
                for round in 0..<rounds {
                    try await self.reach(Double(round + 1) / Double(rounds + 1))
                    try await strike(round)
                }
            }
            try await group.waitForAll()
        }
    }
}

extension Cluster {
    /// Expects that after one repair every promise holds, and that the running servers still serve.
    func expectHealed(after load: Load) async throws {
        #expect(try await mend().isAll)
        let verification = try await luciq("verify")
        #expect(verification.code == 0, "\(verification.output)\(verification.errors)")
        try await load.expectPromisesKept()
        for node in living {
            let client = node.client
            let chat = try await client.makeChat()
            #expect(
                try await client.post(chat + "/messages", json: #"{"body":"x"}"#).json["message_number"] as? Int == 1)
            #expect(try await client.get("/readyz").status == 200)
            // What 64 clients need; a leak of requests would be far more.
            if let memory = node.process.residentMemory, let start = node.memoryAtStart { #expect(memory < start + 64) }
        }
    }
}
