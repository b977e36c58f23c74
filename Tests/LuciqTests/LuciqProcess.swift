import Foundation
import TestSupport

/// The built executable, run as a user runs it.
final class LuciqProcess: Sendable {
    private let process: ServerProcess
    private let errors: String

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
        let id = UUID().uuidString
        errors = folder.file("stderr-\(id)")
        var stdin: FileHandle?
        if let input {
            let path = folder.file("stdin-\(id)")
            try Data(input.utf8).write(to: URL(fileURLWithPath: path))
            stdin = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        }
        let place = terminal.map { ProgramOutput.descriptor($0.handle.fileDescriptor) }
        process = try ServerProcess(
            [Self.product("luciq").path] + arguments, in: folder.path, allOfEnvironment: environment,
            input: terminal?.handle.fileDescriptor ?? stdin?.fileDescriptor,
            output: place ?? .file(folder.file("stdout-\(id)")),
            errors: place ?? pipe.map { .descriptor($0.fileHandleForWriting.fileDescriptor) } ?? .file(errors))
        // No other process has the write end, so that the output ends when the process does.
        try pipe?.fileHandleForWriting.close()
    }

    var pid: Int32 { process.pid }
    var isRunning: Bool { process.isRunning }
    var errorText: String { (try? String(contentsOfFile: errors, encoding: .utf8)) ?? "" }

    func signal(_ signal: Int32) { process.signal(signal) }

    /// Waits for its end: its exit code, or 128 and the number of the signal that ended it, and what it printed.
    @discardableResult
    func wait() async -> (code: Int32, output: String) {
        // A test at its time limit is cancelled: then the process is what hangs.
        await withTaskCancellationHandler {
            var code: Int?
            while code == nil { code = await process.end(within: 3600) }
            return (Int32(code!), process.output)
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
            let listening = /"message":"listening".*"url":"https?:[^"]*:(\d+)"/
            port = process.errorText.firstMatch(of: listening).flatMap { Int($0.1) }
            guard port != nil || process.isRunning else {
                throw RawConnection.Failure(description: "it ended: \(process.errorText)")
            }
            return port != nil
        }
        return (process, Client(port: port!))
    }
}
