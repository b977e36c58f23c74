import Foundation

/// MariaDB servers with Galera between them: each holds all rows, and each may be written.
///
/// A node that was killed comes back with `restart`, by a state transfer from another one (rsync).
package final class GaleraCluster: Sendable {
    package let nodes: [MariaDBServer]

    /// Where Debian has Galera's library; a test that needs it says so when it is missing.
    private static let provider = "/usr/lib/galera/libgalera_smm.so"

    /// Starts them, which takes some ten seconds: a node tries once a second to reach the others.
    ///
    /// - Throws: `ServerFailure` with what to install, or the end of a node's log.
    package static func start(_ count: Int = 3) async throws -> GaleraCluster {
        guard FileManager.default.fileExists(atPath: provider) else {
            throw ServerFailure("The tests need Galera: install galera-4, or run scripts/setup test.")
        }
        let ports = try (0..<count).map { _ in try FreePort.any() }
        let address = "gcomm://" + ports.map { "127.0.0.1:\($0)" }.joined(separator: ",")
        var nodes: [MariaDBServer] = []
        for (index, port) in ports.enumerated() {
            let node = try await MariaDBServer.start(
                try options(of: index, port: port, address: address),
                once: index == 0 ? ["--wsrep-new-cluster"] : [], as: user)
            nodes.append(node)
            try await isReady(node)
        }
        return GaleraCluster(nodes: nodes)
    }

    private init(nodes: [MariaDBServer]) { self.nodes = nodes }

    /// Cuts a node off from the others, as a fault of the network between them does: it refuses every statement until
    /// `rejoin`.
    package func isolate(_ node: MariaDBServer) async throws { try await setIsolation(1, of: node) }

    /// Ends what `isolate` did, and waits until the node takes part again.
    package func rejoin(_ node: MariaDBServer) async throws {
        try await setIsolation(0, of: node)
        try await isBack(node)
    }

    /// Waits until a node takes part again that was cut off, frozen or stopped.
    package func isBack(_ node: MariaDBServer) async throws {
        try await eventually("all nodes are together", within: 60) {
            let sizes = try await node.sql("SHOW STATUS LIKE 'wsrep_cluster_size'")
            return sizes.hasSuffix("\t\(nodes.count)")
        }
        try await Self.isReady(node)
    }

    /// Starts a node again that was killed or stopped, and waits until it takes part.
    package func restart(_ node: MariaDBServer) async throws {
        try await node.restart()
        try await Self.isReady(node)
    }

    /// Empties the database `luciq` and drops its users: for the next test on the same nodes.
    package func reset() async throws {
        let users = try await nodes[0].sql("SELECT user FROM mysql.user WHERE user LIKE 'luciq%'")
        let drops = users.split(separator: "\n").map { "DROP USER \($0)@'127.0.0.1';" }
        _ = try await nodes[0].sql(
            "DROP DATABASE luciq; CREATE DATABASE luciq CHARACTER SET utf8mb4; \(drops.joined())", database: "mysql")
        for node in nodes {
            try await eventually("the node has it too") {
                let tables = try await node.sql("SHOW TABLES")
                return try await node.sql("SELECT COUNT(*) FROM mysql.user WHERE user LIKE 'luciq%'") == "0"
                    && tables.isEmpty
            }
        }
    }

    private func setIsolation(_ value: Int, of node: MariaDBServer) async throws {
        _ = try await node.sql("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=\(value)'", database: "")
    }

    private static func isReady(_ node: MariaDBServer) async throws {
        try await eventually("the node is synced", within: 60) {
            try await node.sql("SHOW STATUS LIKE 'wsrep_local_state_comment'", database: "").hasSuffix("Synced")
        }
    }

    /// rsync's daemon gives up root's rights and cannot read what root owns.
    private static var user: String? { getuid() == 0 ? "nobody" : nil }

    private static func options(of index: Int, port: Int, address: String) throws -> [String] {
        let (incremental, whole) = (try FreePort.any(), try FreePort.any())
        return [
            "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON", "--wsrep-provider=\(provider)",
            "--wsrep-cluster-name=luciq", "--wsrep-cluster-address=\(address)", "--wsrep-node-name=node\(index)",
            "--wsrep-node-address=127.0.0.1", "--wsrep-sst-method=rsync",
            "--wsrep-sst-receive-address=127.0.0.1:\(whole)", "--max-connections=300",
            "--wsrep-provider-options=base_host=127.0.0.1;base_port=\(port);gmcast.listen_addr=tcp://127.0.0.1:\(port);"
                + "ist.recv_addr=127.0.0.1:\(incremental);gcache.size=32M",
        ]
    }
}
