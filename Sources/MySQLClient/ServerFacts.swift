/// Facts about the server and the session, read when a connection is made and at each check.
package struct ServerFacts: Sendable, Equatable {
    /// The server at the other end of a connection.
    package struct Server: Sendable, Hashable, CustomStringConvertible {
        /// The server's process: MySQL's `server_uuid`; on MariaDB, which has none, host name, port, `server_id` and,
        /// if there is one, `server_uid`.
        package let node: String
        /// The owner of its rows: the node itself, or the cluster of nodes that have the same rows.
        package let data: String

        package var description: String { node }

        package init(node: String, data: String? = nil) {
            self.node = node
            self.data = data ?? node
        }
    }

    package let server: Server
    /// Whether it refuses writes of users without special rights: a replica, or a demoted primary.
    package let isReadOnly: Bool
    /// The server's packet size, in bytes: a statement with its values must be smaller.
    package let maxPacket: Int
    /// Seconds of silence after which it ends the session.
    package let waitTimeout: Int
    /// The session's actual modes.
    package let sqlMode: Set<String>
    /// The session's actual level: `READ-COMMITTED`.
    package let isolation: String
    /// `innodb_flush_log_at_trx_commit`: with 1 a commit is on the disk before it is answered. Nil if the server has no
    /// such variable.
    package let flushAtCommit: Int?

    /// One statement for all engines: the answer lacks variables that the server does not have.
    static let question = """
        SHOW VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'server_id', 'hostname', 'port', \
        'wsrep_on', 'wsrep_cluster_name', 'group_replication_group_name', \
        'read_only', 'super_read_only', 'innodb_read_only', 'tx_read_only', 'transaction_read_only', \
        'max_allowed_packet', 'wait_timeout', 'sql_mode', 'tx_isolation', 'transaction_isolation', \
        'innodb_flush_log_at_trx_commit')
        """

    /// - Parameters:
    ///   - variables: the answer to `question`, by name.
    ///   - version: from the server's greeting.
    init(_ variables: [String: String], version: String) {
        func isOn(_ name: String) -> Bool { !["", "0", "OFF", "NO"].contains((variables[name] ?? "").uppercased()) }
        let node =
            variables["server_uuid"]
            ?? ["hostname", "port", "server_id", "server_uid"].compactMap { variables[$0] }.joined(separator: "/")
        self.server = Server(node: node, data: Self.cluster(variables, isGalera: isOn("wsrep_on"), version: version))
        self.isReadOnly = [
            // In newer versions of MariaDB it is a word: READ_ONLY_NO_LOCK.
            "read_only", "super_read_only", "innodb_read_only", "tx_read_only", "transaction_read_only",
        ].contains(where: isOn)
        // MariaDB's default.
        self.maxPacket = variables["max_allowed_packet"].flatMap { Int($0) } ?? 16 << 20
        self.waitTimeout = variables["wait_timeout"].flatMap { Int($0) } ?? 28_800
        self.sqlMode = Set((variables["sql_mode"] ?? "").split(separator: ",").map { $0.uppercased() })
        self.isolation = variables["transaction_isolation"] ?? variables["tx_isolation"] ?? ""
        self.flushAtCommit = variables["innodb_flush_log_at_trx_commit"].flatMap { Int($0) }
    }

    /// The id of the cluster whose nodes hold the same rows at any moment; nil for a single server.
    private static func cluster(_ variables: [String: String], isGalera: Bool, version: String) -> String? {
        if isGalera { return "galera/\(variables["wsrep_cluster_name"] ?? "")" }
        if let group = variables["group_replication_group_name"], !group.isEmpty { return "group/\(group)" }
        return ["TiDB", "Vitess"].first { version.contains($0) }
    }
}
