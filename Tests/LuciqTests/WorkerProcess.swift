import Foundation
import TestSupport

/// A database and a Redis database of a test's own, and luciq's commands on them.
struct WorkerPlace: Sendable {
    let folder: TemporaryFolder
    let environment: [String: String]

    /// - Parameter redis: a URL; nil for a database of the shared server.
    static func make(redis: String? = nil) async throws -> WorkerPlace {
        let place = WorkerPlace(
            folder: try TemporaryFolder(),
            environment: [
                "DATABASE_URL": try await SharedServers.freshDatabase(),
                "REDIS_URL": try await redis.orFresh(),
            ])
        let (code, _, errors) = try await place.luciq("db", "migrate")
        guard code == 0 else { throw RawConnection.Failure(description: errors) }
        return place
    }

    func luciq(_ arguments: String...) async throws -> (code: Int32, output: String, errors: String) {
        try await LuciqProcess.run(arguments, in: folder, environment: environment)
    }

    /// The output of a command that succeeds, as JSON.
    func json(_ arguments: String...) async throws -> Any {
        let (code, output, errors) = try await LuciqProcess.run(
            arguments + ["--json"], in: folder, environment: environment)
        guard code == 0 else {
            throw RawConnection.Failure(description: "\(arguments): \(code) \(errors)")
        }
        return try JSONSerialization.jsonObject(with: Data(output.utf8), options: .fragmentsAllowed)
    }

    /// `luciq jobs stats`.
    func stats() async throws -> [String: Any] {
        try await json("jobs", "stats") as? [String: Any] ?? [:]
    }

    /// Starts a worker and waits until it is registered.
    func worker(_ arguments: [String] = []) async throws -> (process: LuciqProcess, client: Client) {
        try await LuciqProcess.listening(
            ["worker", "--port", "0"] + arguments, in: folder, environment: environment)
    }

    func serve() async throws -> (server: LuciqProcess, client: Client) {
        try await LuciqProcess.serve(in: folder, environment: environment)
    }

    func sql(_ statements: String) async throws -> String {
        guard let url = URLComponents(string: environment["DATABASE_URL"] ?? "") else { return "" }
        return try await runProgram(
            [
                "mariadb", "--no-defaults", "--host=\(url.host ?? "")", "--port=\(url.port ?? 0)",
                "--user=\(url.user ?? "")", "--batch", "--raw", "--skip-column-names",
                String(url.path.dropFirst()),
            ], input: statements, environment: ["MYSQL_PWD": url.password ?? ""])
    }

    func redis(_ arguments: String...) async throws -> String {
        try await runProgram(["redis-cli", "-e", "-u", environment["REDIS_URL"] ?? ""] + arguments)
    }
}

extension String? {
    fileprivate func orFresh() async throws -> String {
        if let self { return self }
        return try await SharedServers.freshRedisDatabase()
    }
}
