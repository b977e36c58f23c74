/// A primary and a replica (MariaDB, GTID replication, asynchronous by default) behind HAProxy, which sends new
/// connections to the server that takes writes, and leaves existing ones where they are.
package final class ReplicaPair: Sendable {
    package let old: MariaDBServer
    package let new: MariaDBServer
    package let proxy: DatabaseProxy

    /// Writes go to `old`.
    ///
    /// - Parameter isSemiSynchronous: whether the primary stores nothing before the replica has it (`AFTER_SYNC`), however
    ///   long that takes.
    /// - Throws: `ServerFailure`.
    package static func start(isSemiSynchronous: Bool = false) async throws -> ReplicaPair {
        func server(_ id: Int) async throws -> MariaDBServer {
            try await MariaDBServer.start([
                "--log-bin=bin", "--log-slave-updates", "--gtid-strict-mode=1", "--server-id=\(id)",
            ])
        }
        let (old, new) = (try await server(1), try await server(2))
        _ = try await new.sql(
            """
            CHANGE MASTER TO master_host = '127.0.0.1', master_port = \(old.port), master_user = 'root',
                master_password = '\(MariaDBServer.password)', master_use_gtid = slave_pos;
            SET GLOBAL rpl_semi_sync_slave_enabled = \(isSemiSynchronous ? 1 : 0);
            START SLAVE; SET GLOBAL read_only = 1;
            """)
        if isSemiSynchronous {
            _ = try await old.sql(
                """
                SET GLOBAL rpl_semi_sync_master_timeout = 600000, rpl_semi_sync_master_wait_point = 'AFTER_SYNC',
                    rpl_semi_sync_master_enabled = 1
                """)
            try await eventually("the replica confirms what it has") {
                try await old.sql("SHOW STATUS LIKE 'Rpl_semi_sync_master_clients'").hasSuffix("1")
            }
        }
        let proxy = try await DatabaseProxy.start(
            before: [old, new], balance: .first, check: "SELECT @@GLOBAL.read_only = 0", cuts: false)
        return ReplicaPair(old: old, new: new, proxy: proxy)
    }

    private init(old: MariaDBServer, new: MariaDBServer, proxy: DatabaseProxy) {
        self.old = old
        self.new = new
        self.proxy = proxy
    }

    /// The URL of a user with all rights, through the proxy.
    package var url: String { "mysql://root:\(MariaDBServer.password)@127.0.0.1:\(proxy.port)/luciq" }

    /// The old primary becomes read-only, and keeps its connections.
    package func fence() async throws { _ = try await old.sql("SET GLOBAL read_only = 1") }

    /// Waits until the replica has everything.
    package func catchUp() async throws {
        let position = try await old.sql("SELECT @@gtid_current_pos")
        let result = try await new.sql("SELECT MASTER_GTID_WAIT('\(position)', 10)")
        guard result == "0" else { throw ServerFailure("The replica does not catch up: \(result)") }
    }

    /// Writes from now on are lost with the old primary.
    package func stopReplication() async throws { _ = try await new.sql("STOP SLAVE") }

    /// The replica applies everything that it has received from a primary that is gone.
    package func useUp() async throws {
        _ = try await new.sql("STOP SLAVE IO_THREAD")
        try await eventually("the replica has done all") {
            try await new.sql("SELECT @@gtid_slave_pos")
                == new.sql("SHOW SLAVE STATUS").split(separator: "\t", omittingEmptySubsequences: false)
                .first { $0.hasPrefix("0-1-") } ?? ""
        }
    }

    /// The replica is the primary from now on.
    package func promote() async throws {
        _ = try await new.sql("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0")
    }
}
