import Foundation
import Synchronization

/// A Redis server of a test's own, with 512 databases, to be killed, frozen and restarted.
package final class RedisServer: @unchecked Sendable {
    package let port: Int
    private let folder: TemporaryFolder
    private let tls: TLSFiles?
    private let options: [String]
    private let running: Mutex<ServerProcess>

    /// Starts one, which takes a few dozen milliseconds.
    ///
    /// - Parameters:
    ///   - options: added to ours, such as `--requirepass`, `hunter2`. Without `--appendonly yes` it keeps nothing
    ///     on disk.
    ///   - tls: it then speaks nothing else.
    /// - Throws: `ServerFailure` with the end of its log.
    package static func start(_ options: [String] = [], tls: TLSFiles? = nil) async throws -> RedisServer {
        let folder = try TemporaryFolder()
        try Reaper.shared.get().folder(folder.path)
        let (port, process) = try await withFreePort { port in
            try await launch(options, tls: tls, port: port, in: folder)
        }
        return RedisServer(port: port, folder: folder, tls: tls, options: options, process: process)
    }

    private init(port: Int, folder: TemporaryFolder, tls: TLSFiles?, options: [String], process: ServerProcess) {
        self.port = port
        self.folder = folder
        self.tls = tls
        self.options = options
        running = Mutex(process)
    }

    // Before the folder goes.
    deinit { process.kill() }

    /// - Parameter database: 0 to 511.
    package func url(database: Int = 0) -> String {
        "\(tls == nil ? "redis" : "rediss")://127.0.0.1:\(port)/\(database)"
    }

    /// SIGKILL. Returns when it has ended.
    package func kill() { process.kill() }

    /// SIGSTOP: it keeps its connections, new ones are accepted by the system, and nothing is answered.
    package func freeze() { process.freeze() }

    package func thaw() { process.signal(SIGCONT) }

    /// An orderly end; it saves nothing.
    package func stop() async { await process.stop() }

    package var isRunning: Bool { process.isRunning }

    /// What it has logged since its last start.
    package var log: String { process.output }

    /// Starts it again on the same port, after stopping it if it runs.
    ///
    /// - Parameter empty: without its data. Otherwise a running server saves its data first; a killed server has what
    ///   its options made it keep, by default nothing.
    package func restart(empty: Bool) async throws {
        if isRunning {
            thaw()
            if !empty { _ = try await cli("SAVE") }
            await stop()
        }
        if empty {
            for name in ["dump.rdb", "appendonlydir"] where FileManager.default.fileExists(atPath: folder.file(name)) {
                try FileManager.default.removeItem(atPath: folder.file(name))
            }
        }
        let process = try await Self.launch(options, tls: tls, port: port, in: folder)
        running.withLock { $0 = process }
    }

    /// Runs a command by redis-cli, such as `cli("-n", "3", "GET", "key")`.
    ///
    /// - Returns: the reply as text, a line an element.
    /// - Throws: `ServerFailure` for an error reply too.
    package func cli(_ arguments: String...) async throws -> String {
        try await runProgram(["redis-cli", "-e", "-p", "\(port)"] + (tls?.redisClientOptions ?? []) + arguments)
    }

    private var process: ServerProcess { running.withLock(\.self) }

    private static func launch(
        _ options: [String], tls: TLSFiles?, port: Int, in folder: TemporaryFolder
    ) async throws -> ServerProcess {
        let ports = tls.map { ["--port", "0", "--tls-port", "\(port)"] + $0.redisOptions } ?? ["--port", "\(port)"]
        let process = try ServerProcess(
            ["redis-server", "--bind", "127.0.0.1"] + ports + [
                "--dir", folder.path, "--databases", "512", "--save", "", "--appendonly", "no",
                // A replica is not made to wait for others that might come.
                "--repl-diskless-sync-delay", "0",
            ] + options, log: folder.file("redis.log"))
        try await process.prints("Ready to accept connections")
        return process
    }
}
