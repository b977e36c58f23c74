import Foundation
import Synchronization

@testable import MySQLClient

/// A server of our own on loopback, with an empty database `chat` and a user who may do everything.
final class PrivateMariaDB: Sendable {
    struct Failure: Error { let reason: String }

    let port: Int
    let folder: String
    private let options: [String]
    private let process = Mutex<Process?>(nil)

    var pid: pid_t { process.withLock { $0?.processIdentifier ?? 0 } }
    var socket: String { folder + "/sock" }
    var configuration: MySQLConfiguration {
        MySQLConfiguration(port: port, user: "luciq", password: "pass", database: "chat")
    }

    /// The server most tests share; killed when the process ends.
    static func shared() async throws -> PrivateMariaDB { try await sharedStart.value }

    private static let sharedStart = Task {
        let server = try PrivateMariaDB()
        try await server.start()
        leftovers.withLock {
            $0.folders.append(server.folder)
            $0.pid = server.pid
        }
        return server
    }

    /// An installed data folder, to be copied.
    private static let template = Result {
        let folder = try makeFolder()
        leftovers.withLock { $0.folders.append(folder) }
        atexit {
            PrivateMariaDB.leftovers.withLock { leftovers in
                if leftovers.pid > 0, kill(leftovers.pid, SIGKILL) == 0 { waitpid(leftovers.pid, nil, 0) }
                // Left behind they do no harm.
                for folder in leftovers.folders { try? FileManager.default.removeItem(atPath: folder) }
            }
        }
        try run(
            "mariadb-install-db",
            [
                "--no-defaults", "--datadir=\(folder)/data", "--tmpdir=\(folder)", "--skip-test-db",
                "--innodb-log-file-size=8M",
            ] + asRoot)
        return folder + "/data"
    }

    private static let leftovers = Mutex<(folders: [String], pid: pid_t)>(([], 0))

    /// Makes the folder; starts nothing.
    ///
    /// - Parameter options: for `mariadbd`; `FOLDER` in them is the server's own.
    init(_ options: [String] = []) throws {
        folder = try Self.makeFolder()
        port = try Self.freePort()
        self.options = options
        try FileManager.default.copyItem(atPath: Self.template.get(), toPath: folder + "/data")
        let sql = """
            CREATE OR REPLACE USER 'luciq'@'%' IDENTIFIED BY 'pass'; GRANT ALL ON *.* TO 'luciq'@'%' WITH GRANT OPTION;
            DROP USER IF EXISTS ''@'localhost'; CREATE DATABASE IF NOT EXISTS chat CHARACTER SET utf8mb4;
            """
        // The server wants one statement a line.
        let lines = sql.replacing(";", with: ";\n").split(separator: "\n").map { $0.trimmingPrefix(" ") }
        try lines.joined(separator: "\n").write(toFile: folder + "/init.sql", atomically: true, encoding: .utf8)
    }

    /// Starts it, lets the body use it, and kills it.
    static func with<T>(_ options: [String] = [], _ body: (PrivateMariaDB) async throws -> T) async throws -> T {
        let server = try PrivateMariaDB(options)
        defer { server.remove() }
        try await server.start()
        return try await body(server)
    }

    func start() async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/sbin/mariadbd")
        process.arguments =
            [
                "--no-defaults", "--datadir=\(folder)/data", "--tmpdir=\(folder)", "--port=\(port)",
                "--socket=\(socket)",
                "--bind-address=127.0.0.1", "--init-file=\(folder)/init.sql", "--pid-file=\(folder)/pid",
                "--log-error=\(folder)/log", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M",
                "--innodb-flush-log-at-trx-commit=0", "--performance-schema=OFF",
            ] + Self.asRoot + options.map { $0.replacing("FOLDER", with: folder) }
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        self.process.withLock { $0 = process }
        var waysIn = configuration
        waysIn.socket = socket
        waysIn.tlsMode = .disabled
        for _ in 0..<300 where process.isRunning {
            if let connection = try? await MySQLConnection.connect(waysIn) {
                await connection.close()
                return
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        let log = (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? ""
        throw Failure(reason: "mariadbd does not start: \(log.suffix(2000))")
    }

    func signal(_ number: CInt) { _ = kill(pid, number) }

    /// Stops it like a machine that hangs; returns when every thread of it stands still. `SIGCONT` ends it.
    func freeze() async throws {
        signal(SIGSTOP)
        #if os(Linux)
            let tasks = "/proc/\(pid)/task"
            try await eventually {
                try FileManager.default.contentsOfDirectory(atPath: tasks).allSatisfy { task in
                    try String(contentsOfFile: "\(tasks)/\(task)/stat", encoding: .utf8).contains(") T ")
                }
            }
        #endif
    }

    /// As a power cut would.
    func stop() {
        signal(SIGKILL)
        process.withLock { $0 }?.waitUntilExit()
    }

    func remove() {
        stop()
        try? FileManager.default.removeItem(atPath: folder)  // Left behind it does no harm.
    }

    static func run(_ tool: String, _ arguments: [String], in folder: String = "/") throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [tool] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(reason: "\(tool) failed") }
    }

    private static var asRoot: [String] { geteuid() == 0 ? ["--user=root"] : [] }

    private static func makeFolder() throws -> String {
        // Short, because a socket's path may have some hundred characters only.
        let folder = FileManager.default.temporaryDirectory.path + "/mysql-\(UInt64.random(in: 0...(.max)))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    private static func freePort() throws -> Int {
        #if canImport(Glibc)
            let stream = CInt(SOCK_STREAM.rawValue)
        #else
            let stream = SOCK_STREAM
        #endif
        let descriptor = Foundation.socket(AF_INET, stream, 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard isBound else { throw Failure(reason: "no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

/// Waits until it is so, for ten seconds at most.
nonisolated(nonsending) func eventually(_ condition: () async throws -> Bool) async throws {
    for _ in 0..<2500 {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    throw PrivateMariaDB.Failure(reason: "it never came true")
}

extension MySQLConnection {
    /// Waits until another connection runs a statement with such a text.
    func waitForStatement(_ text: String) async throws {
        try await eventually {
            try await perform { connection in
                try connection.first(
                    "SELECT 1 FROM information_schema.processlist WHERE info LIKE ? AND id <> CONNECTION_ID()",
                    [.text("%\(text)%")]
                ) { $0.integer(0) } != nil
            }
        }
    }
}

/// The kind of the error that the body throws; nil when it throws none, or another.
func kind(_ body: () async throws -> Void) async -> MySQLError.Kind? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? MySQLError)?.kind
    }
}
