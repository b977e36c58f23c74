import Foundation

/// Programs that come with the servers.
enum Program {
    /// Where a user's PATH does not always look, on Debian and with Homebrew.
    private static let more = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"]

    private static let packages = [
        "mariadb": "mariadb-server (Homebrew: mariadb)", "redis-server": "redis-server (Homebrew: redis)",
        "redis-cli": "redis-server (Homebrew: redis)", "redis-sentinel": "redis-sentinel (Homebrew: redis)",
        "haproxy": "haproxy",
    ]

    /// - Throws: `ServerFailure` that says what to install.
    static func path(of program: String) throws -> String {
        if program.hasPrefix("/") { return program }
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        for folder in folders + more where access("\(folder)/\(program)", X_OK) == 0 { return "\(folder)/\(program)" }
        let package = packages[program] ?? packages[String(program.prefix(7))] ?? program
        throw ServerFailure("The tests need \(program): install \(package), or run scripts/setup test.")
    }
}

/// Runs a program to its end.
///
/// - Parameters:
///   - input: for its standard input.
///   - environment: what is added to ours.
///   - seconds: how long it may take; it is killed then.
/// - Returns: what it printed, without blanks around.
/// - Throws: `ServerFailure` with its errors, when it does not exit with 0.
@discardableResult
package func runProgram(
    _ command: [String], input: String? = nil, environment: [String: String] = [:], within seconds: Double = 20
) async throws -> String {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let stdin = folder.file("stdin")
    if let input { try Data(input.utf8).write(to: URL(fileURLWithPath: stdin)) }
    let errors = folder.file("stderr")
    let process = try ServerProcess(
        command, log: folder.file("stdout"), errors: errors, input: input == nil ? nil : stdin,
        environment: environment)
    let code = await process.end(within: seconds)
    if code == 0 { return process.output.trimmingCharacters(in: .whitespacesAndNewlines) }
    process.kill()
    // It may have printed no errors.
    let text = (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
    let ending = code.map { "exit code \($0)" } ?? "no end after \(seconds) s"
    throw ServerFailure("\(command[0]): \(ending). \(text)\(process.output)")
}
