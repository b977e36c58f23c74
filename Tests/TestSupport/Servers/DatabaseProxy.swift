import Foundation

/// HAProxy in front of database servers, as operators set it up: a server whose check fails gets no new connections and
/// loses those it has.
package final class DatabaseProxy: Sendable {
    /// Where connections go.
    package enum Balance: String, Sendable {
        /// To the first server that is up; the others are backups.
        case first
        /// To all in turn.
        case roundrobin
    }

    package let port: Int
    private let folder: TemporaryFolder
    private let process: ServerProcess

    /// - Parameters:
    ///   - check: SQL whose answer must have a `1` in its last column, run twice a second at each server; nil for whether the
    ///     server accepts connections.
    ///   - cuts: whether a server that is marked down loses its connections.
    /// - Throws: `ServerFailure`.
    package static func start(
        before servers: [MariaDBServer], balance: Balance, check: String? = nil, cuts: Bool = true
    ) async throws -> DatabaseProxy {
        let folder = try TemporaryFolder()
        if let check { try write(check, for: servers, in: folder) }
        let (port, process) = try await withFreePort { port in
            let configuration = configuration(port, servers, balance, check: check, cuts: cuts, folder)
            try Data(configuration.utf8).write(to: URL(fileURLWithPath: folder.file("conf")))
            let process = try ServerProcess(["haproxy", "-db", "-f", folder.file("conf")], log: folder.file("log"))
            try await eventually("HAProxy listens: \(process.output)") {
                guard process.isRunning else { throw ServerFailure(process.output) }
                return (try? RawConnection(port: port)) != nil  // Not yet.
            }
            return process
        }
        return DatabaseProxy(port: port, folder: folder, process: process)
    }

    private init(port: Int, folder: TemporaryFolder, process: ServerProcess) {
        self.port = port
        self.folder = folder
        self.process = process
    }

    // Before the folder goes.
    deinit { process.kill() }

    private static func configuration(
        _ port: Int, _ servers: [MariaDBServer], _ balance: Balance, check: String?, cuts: Bool,
        _ folder: TemporaryFolder
    ) -> String {
        let lines = servers.enumerated().map { index, server in
            let backup = balance == .first && index > 0 ? " backup" : ""
            let ends = cuts ? " on-marked-down shutdown-sessions" : ""
            return "    server db\(index) 127.0.0.1:\(server.port) check inter 500ms fall 2 rise 2\(ends)\(backup)"
        }
        let external = "    option external-check\n    external-check command \(folder.file("check"))"
        return """
            global
                \(check == nil ? "" : "external-check")
                \(check == nil ? "" : "insecure-fork-wanted")
            defaults
                mode tcp
                timeout connect 2s
                timeout client 1h
                timeout server 1h
                timeout check 2s
            listen database
                bind 127.0.0.1:\(port)
                balance \(balance.rawValue)
            \(check == nil ? "" : external)
            \(lines.joined(separator: "\n"))

            """
    }

    /// HAProxy calls it with the server's address and port as its third and fourth argument.
    private static func write(_ check: String, for servers: [MariaDBServer], in folder: TemporaryFolder) throws {
        let sockets = servers.map { "\($0.port)) socket=\($0.socket) ;;" }.joined(separator: "\n")
        let script = """
            #!/bin/sh
            PATH=/usr/sbin:/usr/bin:/bin  # HAProxy gives none.
            case "$4" in
            \(sockets)
            esac
            MYSQL_PWD=\(MariaDBServer.password) exec timeout 2 \(try Program.path(of: "mariadb")) --no-defaults --user=root \\
                --socket="$socket" --skip-column-names --batch --execute "\(check)" | grep -q '1$'

            """
        try Data(script.utf8).write(to: URL(fileURLWithPath: folder.file("check")))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.file("check"))
    }
}
