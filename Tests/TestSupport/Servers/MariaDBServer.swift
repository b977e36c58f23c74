import Foundation
import Synchronization

/// A MariaDB server of a test's own, to be killed, frozen and restarted. It has the database `luciq` and the user
/// `root` with all rights; what it committed survives a kill of the server, though not of the machine.
package final class MariaDBServer: @unchecked Sendable {
    package static let password = "secret"

    package let port: Int
    private let folder: TemporaryFolder
    private let running: Mutex<(process: ServerProcess, options: [String])>

    /// Starts one, which takes about half a second; the first in a process a second more.
    ///
    /// - Parameters:
    ///   - options: added to ours, such as `--max-connections=10`.
    ///   - once: added for this start only.
    ///   - folder: where its data is made; nil for a folder that goes with it.
    ///   - owner: a user of the system that it runs as and owns its folder; nil for ours.
    /// - Throws: `ServerFailure` with the end of its log.
    package static func start(
        _ options: [String] = [], once: [String] = [], in folder: TemporaryFolder? = nil, as owner: String? = nil
    ) async throws -> MariaDBServer {
        let folder = try folder ?? TemporaryFolder()
        try Reaper.shared.get().folder(folder.path)
        try await runProgram(["cp", "-R", MariaDBTemplate.folder().path, folder.file("mariadb")])
        var options = options
        if let owner {
            try await runProgram(["chown", "-R", owner, folder.path])
            options.append("--user=\(owner)")
        }
        let (port, process) = try await withFreePort { [options] port in
            try await launch(options + once, port: port, in: folder)
        }
        return MariaDBServer(port: port, folder: folder, process: process, options: options)
    }

    private init(port: Int, folder: TemporaryFolder, process: ServerProcess, options: [String]) {
        self.port = port
        self.folder = folder
        running = Mutex((process, options))
    }

    // Before the folder goes.
    deinit { process.kill() }

    /// - Parameter database: `luciq` is there; another one has to be created first.
    package func url(database: String = "luciq") -> String {
        "mysql://root:\(Self.password)@127.0.0.1:\(port)/\(database)"
    }

    /// SIGKILL: what it has not committed is lost. Returns when it has ended.
    package func kill() { process.kill() }

    /// SIGSTOP: it keeps its connections, new ones are accepted by the system, and nothing is answered.
    package func freeze() { process.freeze() }

    package func thaw() { process.signal(SIGCONT) }

    /// An orderly end.
    package func stop() async { await process.stop() }

    package var isRunning: Bool { process.isRunning }

    /// What it has logged since its last start.
    package var log: String { process.output }

    /// Starts it again on the same port and data, after stopping it if it runs.
    ///
    /// - Parameter options: instead of those it was started with.
    package func restart(_ options: [String]? = nil) async throws {
        await stop()
        let options = options ?? running.withLock(\.options)
        let process = try await Self.launch(options, port: port, in: folder)
        running.withLock { $0 = (process, options) }
    }

    /// Its socket, for programs on this machine.
    package var socket: String { folder.file("m.sock") }

    /// Executes statements as `root` by the command-line client, over the server's socket: whatever is wrong with its
    /// port, its connections or its certificates.
    ///
    /// - Returns: rows as lines, columns between tabs, no names.
    package func sql(_ statements: String, database: String = "luciq") async throws -> String {
        try await runProgram(
            [
                "mariadb", "--no-defaults", "--user=root", "--socket=\(socket)", "--batch", "--raw",
                "--skip-column-names", "--connect-timeout=10", database,
            ],
            input: statements, environment: ["MYSQL_PWD": Self.password])
    }

    private var process: ServerProcess { running.withLock(\.process) }

    private static func launch(_ options: [String], port: Int, in folder: TemporaryFolder) async throws -> ServerProcess
    {
        let process = try ServerProcess(
            // Of several users MariaDB takes the first.
            ["mariadbd", "--no-defaults"] + options.filter { $0.hasPrefix("--user=") } + MariaDBTemplate.options + [
                // At its start a server deletes the temporary tables of all that share a folder for them.
                "--tmpdir=\(folder.path)",
                "--datadir=\(folder.file("mariadb"))", "--socket=\(folder.file("m.sock"))",
                "--pid-file=\(folder.file("mariadb.pid"))", "--bind-address=127.0.0.1", "--port=\(port)",
                "--skip-name-resolve", "--skip-log-bin", "--character-set-server=utf8mb4",
                "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=1", "--performance-schema=OFF",
            ] + options, log: folder.file("mariadb.log"))
        try await process.prints("ready for connections")
        return process
    }
}

/// Starts a server on a free port, and on another when that one was taken meanwhile.
package func withFreePort<Result>(_ start: (_ port: Int) async throws -> Result) async throws -> (port: Int, Result) {
    var tries = 3
    while true {
        let port = try FreePort.any()
        do {
            return (port, try await start(port))
        } catch let failure as ServerFailure where failure.description.contains("in use") && tries > 1 {
            tries -= 1
        }
    }
}
