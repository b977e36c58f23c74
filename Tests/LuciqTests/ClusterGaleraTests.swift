import Foundation
import TestSupport
import Testing

extension ClusterTests {
    /// On Galera: three nodes that all hold all rows, HAProxy in front, two servers.
    @Suite(.serialized, .enabled("Galera is for Linux", { isLinux })) struct OnGalera {
        /// What says whether a node may be used, as Percona's clustercheck does.
        private static let check =
            "SELECT variable_value = 4 FROM information_schema.global_status WHERE variable_name = 'wsrep_local_state'"

        /// The node that is written is killed, comes back, and is cut off from the others: what was answered is there, once,
        /// at its number, on every node.
        @Test(arguments: [DatabaseProxy.Balance.first, .roundrobin])
        func nothingIsLostWithANode(_ balance: DatabaseProxy.Balance) async throws {
            let galera = try await GaleraCluster.start()
            let redis = try await RedisServer.start()
            let proxy = try await DatabaseProxy.start(before: galera.nodes, balance: balance, check: Self.check)
            let node = galera.nodes[0]
            let cluster = try await Cluster.start(
                2, mariadb: node, by: [proxy.port], redis: redis.url())
            let load = try await Load(on: cluster, messagesPerWriter: 40, patience: 25)
            try await load.endure(2) { round in
                if round == 0 {
                    node.kill()
                    try await load.see(answers: 200)
                    try await galera.restart(node)
                } else {
                    try await galera.isolate(node)
                    try await load.see(answers: 200)
                    try await galera.rejoin(node)
                }
            }
            try await cluster.expectHealed(after: load)
            try await galera.expectEqualRows()
        }
    }
}

#if os(Linux)
    private let isLinux = true
#else
    private let isLinux = false
#endif

extension GaleraCluster {
    /// Expects that every node holds the same messages.
    func expectEqualRows() async throws {
        let query = "SELECT COUNT(*), SUM(CRC32(CONCAT_WS(' ', chat_id, number, body))) FROM messages"
        let first = try await nodes[0].sql(query)
        for node in nodes.dropFirst() {
            try await eventually("the nodes agree") { try await node.sql(query) == first }
        }
    }
}
