import Foundation
import Synchronization

/// A server that answers as OpenSearch 3 does, of a test's own, to be killed and restarted. It keeps nothing on disk.
package final class OsmemServer: @unchecked Sendable {
    package let port: Int
    private let folder: TemporaryFolder
    private let running: Mutex<ServerProcess>

    /// Starts one, which takes a few dozen milliseconds.
    ///
    /// - Throws: `ServerFailure` with the end of its log.
    package static func start() async throws -> OsmemServer {
        let folder = try TemporaryFolder()
        try Reaper.shared.get().folder(folder.path)
        let (port, process) = try await withFreePort { try await launch(port: $0, in: folder) }
        return OsmemServer(port: port, folder: folder, process: process)
    }

    private init(port: Int, folder: TemporaryFolder, process: ServerProcess) {
        self.port = port
        self.folder = folder
        running = Mutex(process)
    }

    // Before the folder goes.
    deinit { process.kill() }

    package var url: String { "http://127.0.0.1:\(port)" }

    /// SIGKILL. Returns when it has ended.
    package func kill() { process.kill() }

    /// SIGSTOP: new connections are accepted by the system, and nothing is answered.
    package func freeze() { process.freeze() }

    package func thaw() { process.signal(SIGCONT) }

    /// Starts it again on the same port, empty, after killing it if it runs.
    package func restart() async throws {
        kill()
        let process = try await Self.launch(port: port, in: folder)
        running.withLock { $0 = process }
    }

    private var process: ServerProcess { running.withLock(\.self) }

    private static func launch(port: Int, in folder: TemporaryFolder) async throws -> ServerProcess {
        let program = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../.build/python-osmem/bin/osmem-server").standardizedFileURL.path
        guard FileManager.default.isExecutableFile(atPath: program) else {
            throw ServerFailure("osmem-server is missing. Install it with: scripts/setup test")
        }
        let process = try ServerProcess(
            [program, "-addr", "127.0.0.1:\(port)", "-no-stdin-watch", "-no-ja"], log: folder.file("osmem.log"))
        try await process.prints("\"url\"")
        return process
    }
}
