import Foundation
import TestSupport

/// The built executable, run as a user runs it.
final class LuciqProcess: @unchecked Sendable {
    private let process = Process()
    private let output = Pipe()
    private let errors: URL

    /// An executable of this package: the products lie beside the test bundle.
    static func product(_ name: String) -> URL {
        #if os(macOS)
            Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }!.bundleURL
                .deletingLastPathComponent().appendingPathComponent(name)
        #else
            Bundle.main.bundleURL.appendingPathComponent(name)
        #endif
    }

    /// Starts it in `folder`, with nothing in its environment but what is given.
    ///
    /// - Parameters:
    ///   - input: what it can read; nil for nothing.
    ///   - terminal: where it runs, instead of a pipe and a file.
    ///   - errors: its standard error; nil for a file, `errorText`.
    init(
        _ arguments: [String], in folder: TemporaryFolder, environment: [String: String] = [:], input: String? = nil,
        terminal: PseudoTerminal? = nil, errors pipe: Pipe? = nil
    ) throws {
        errors = URL(fileURLWithPath: folder.file("stderr-\(UUID().uuidString)"))
        _ = FileManager.default.createFile(atPath: errors.path, contents: nil)
        process.executableURL = Self.product("luciq")
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        process.environment = environment
        process.standardOutput = output
        process.standardError = if let pipe { pipe } else { try FileHandle(forWritingTo: errors) }
        process.standardInput = FileHandle.nullDevice
        if let input {
            let pipe = Pipe()
            try pipe.fileHandleForWriting.write(contentsOf: Data(input.utf8))
            try pipe.fileHandleForWriting.close()
            process.standardInput = pipe
        }
        if let terminal {
            process.standardInput = terminal.handle
            process.standardOutput = terminal.handle
            process.standardError = terminal.handle
            try output.fileHandleForWriting.close()
        }
        // Foundation's start of a process is not safe on two threads at once.
        try Self.starting.withLock { try process.run() }
    }

    private static let starting = NSLock()

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    var pid: Int32 { process.processIdentifier }
    var isRunning: Bool { process.isRunning }
    var errorText: String { (try? String(contentsOf: errors, encoding: .utf8)) ?? "" }

    func signal(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// Waits for its end: its exit code, and what it printed. A process that was killed has the signal's number.
    @discardableResult
    func wait() async -> (code: Int32, output: String) {
        // A test at its time limit is cancelled: then the process is what hangs.
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                DispatchQueue.global().async { [self] in
                    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                    process.waitUntilExit()
                    continuation.resume(returning: (process.terminationStatus, text))
                }
            }
        } onCancel: {
            signal(SIGKILL)
        }
    }

    /// Runs it to its end.
    static func run(
        _ arguments: [String], in folder: TemporaryFolder, environment: [String: String] = [:], input: String? = nil
    ) async throws -> (code: Int32, output: String, errors: String) {
        let process = try LuciqProcess(arguments, in: folder, environment: environment, input: input)
        let (code, output) = await process.wait()
        return (code, output, process.errorText)
    }

    /// Starts a server on a free port and waits until it says that it listens.
    static func serve(
        _ arguments: [String] = [], in folder: TemporaryFolder, environment: [String: String] = [:]
    ) async throws -> (server: LuciqProcess, client: Client) {
        let (server, client) = try await listening(
            ["serve", "--port", "0"] + arguments, in: folder,
            environment: ["DATABASE_URL": "sqlite://" + folder.file("test.sqlite")].merging(environment) { $1 })
        return (server, client)
    }

    /// Starts a command that listens, and waits until it says where.
    static func listening(
        _ arguments: [String], in folder: TemporaryFolder, environment: [String: String]
    ) async throws -> (process: LuciqProcess, client: Client) {
        let process = try LuciqProcess(arguments, in: folder, environment: environment)
        var port: Int?
        try await eventually("it listens") {
            let listening = /"message":"listening".*"url":"http:[^"]*:(\d+)"/
            port = process.errorText.firstMatch(of: listening).flatMap { Int($0.1) }
            guard port != nil || process.isRunning else {
                throw RawConnection.Failure(description: "it ended: \(process.errorText)")
            }
            return port != nil
        }
        return (process, Client(port: port!))
    }
}
