import Foundation

/// A Redis primary called `luciq`, its replica, and three sentinels that make the replica the primary about a second
/// after the primary has gone.
package final class RedisSentinelSet: Sendable {
    package let primary: RedisServer
    package let replica: RedisServer
    package let sentinels: [Sentinel]

    /// One of the three.
    package final class Sentinel: Sendable {
        package let port: Int
        let process: ServerProcess
        private let folder: TemporaryFolder

        fileprivate init(watching primary: RedisServer) async throws {
            let folder = try TemporaryFolder()
            try Reaper.shared.get().folder(folder.path)
            (port, process) = try await withFreePort { port in
                let file = folder.file("sentinel.conf")
                try Data(
                    """
                    port \(port)
                    bind 127.0.0.1
                    dir \(folder.path)
                    sentinel monitor luciq 127.0.0.1 \(primary.port) 2
                    sentinel down-after-milliseconds luciq 500
                    sentinel failover-timeout luciq 3000

                    """.utf8
                ).write(to: URL(fileURLWithPath: file))
                let process = try ServerProcess(["redis-sentinel", file], log: folder.file("sentinel.log"))
                try await process.prints("+monitor master luciq")
                return process
            }
            self.folder = folder
        }

        deinit { process.kill() }

        package func kill() { process.kill() }

        package func cli(_ arguments: String...) async throws -> String {
            try await runProgram(["redis-cli", "-e", "-p", "\(port)"] + arguments)
        }
    }

    /// Starts all five, and returns when they know each other and the replica has the primary's data; a few seconds.
    package static func start() async throws -> RedisSentinelSet {
        let primary = try await RedisServer.start()
        let replica = try await RedisServer.start(["--replicaof", "127.0.0.1 \(primary.port)"])
        try await eventually("the replica follows") {
            try await replica.cli("INFO", "replication").contains("master_link_status:up")
        }
        var sentinels: [Sentinel] = []
        for _ in 0..<3 { sentinels.append(try await Sentinel(watching: primary)) }
        for sentinel in sentinels {
            try await eventually("the sentinels know each other and the replica") {
                let lines = try await sentinel.cli("SENTINEL", "MASTER", "luciq").components(separatedBy: "\n")
                func value(_ name: String) -> String? { lines.firstIndex(of: name).map { lines[$0 + 1] } }
                return value("num-other-sentinels") == "2" && value("num-slaves") == "1" && value("flags") == "master"
            }
        }
        return RedisSentinelSet(primary: primary, replica: replica, sentinels: sentinels)
    }

    private init(primary: RedisServer, replica: RedisServer, sentinels: [Sentinel]) {
        self.primary = primary
        self.replica = replica
        self.sentinels = sentinels
    }

    /// - Parameter database: 0 to 511.
    package func url(database: Int = 0) -> String {
        "redis+sentinel://" + sentinels.map { "127.0.0.1:\($0.port)" }.joined(separator: ",") + "/luciq/\(database)"
    }

    /// Kills the first primary. The replica then takes over by itself; `awaitFailover` waits for that.
    package func killPrimary() { primary.kill() }

    /// Returns when the replica is the primary and every sentinel that runs says so.
    package func awaitFailover() async throws {
        for sentinel in sentinels where sentinel.process.isRunning {
            try await eventually("the replica takes over") { [replica] in
                let address = try await sentinel.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "luciq")
                // A server that changes its role hangs up on its clients: then it is asked again.
                guard let role = try? await replica.cli("ROLE") else { return false }
                return address.hasSuffix("\n\(replica.port)") && role.hasPrefix("master")
            }
        }
    }
}
