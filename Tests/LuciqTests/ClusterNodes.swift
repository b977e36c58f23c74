import Foundation
import TestSupport
import Testing

/// Server processes on one MariaDB and one Redis.
struct Cluster: Sendable {
    struct Node: Sendable {
        let process: LuciqProcess
        let port: Int
        /// A database user of its own: not an administrator, as in production.
        let user: String
        /// In MiB, before any request; nil where the system does not tell.
        let memoryAtStart: Int?

        var client: Client { Client(port: port) }
    }

    let mariadb: MariaDBServer
    let nodes: [Node]
    private let folder: TemporaryFolder
    private let environment: [String: String]

    /// Migrates the database and starts the servers.
    ///
    /// - Parameters:
    ///   - mariadb: where the database is made, and its users.
    ///   - ports: of the databases that the servers reach it by, in turn; none for `mariadb`'s own.
    ///   - mysqlOptions: the end of the database's URL, such as `?ssl-mode=required`.
    ///   - redis: a URL.
    ///   - settings: of the servers, by their environment names.
    static func start(
        _ count: Int, mariadb: MariaDBServer, by ports: [Int] = [], mysqlOptions: String = "", redis: String,
        settings: [String: String] = [:]
    ) async throws -> Cluster {
        let folder = try TemporaryFolder()
        let environment = ["DATABASE_URL": mariadb.url() + mysqlOptions, "REDIS_URL": redis]
        let migration = try await LuciqProcess.run(["db", "migrate"], in: folder, environment: environment)
        guard migration.code == 0 else { throw RawConnection.Failure(description: migration.errors) }
        var nodes: [Node] = []
        for index in 0..<count {
            let user = "luciq\(index)"
            let port = ports.isEmpty ? mariadb.port : ports[index % ports.count]
            _ = try await mariadb.sql(
                "CREATE USER \(user)@'127.0.0.1' IDENTIFIED BY 'secret'; GRANT ALL ON luciq.* TO \(user)@'127.0.0.1';")
            let (process, client) = try await LuciqProcess.serve(
                in: folder,
                environment: [
                    "DATABASE_URL": "mysql://\(user):secret@127.0.0.1:\(port)/luciq\(mysqlOptions)",
                    "REDIS_URL": redis,
                ].merging(settings) { $1 })
            nodes.append(Node(process: process, port: client.port, user: user, memoryAtStart: process.residentMemory))
        }
        return Cluster(mariadb: mariadb, nodes: nodes, folder: folder, environment: environment)
    }

    var living: [Node] { nodes.filter(\.process.isRunning) }

    func luciq(_ arguments: String...) async throws -> (code: Int32, output: String, errors: String) {
        try await LuciqProcess.run(arguments, in: folder, environment: environment)
    }

    /// Repairs while the servers run, and expects that only holes need it.
    ///
    /// - Returns: how much was mended, and whether nothing is left that could not be.
    func mend() async throws -> (count: Int, isAll: Bool) {
        let (code, output, errors) = try await luciq("verify", "--mend", "--json")
        let report = try? JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]  // Told below.
        guard let count = report?["mendedCount"] as? Int, let mended = report?["mended"] as? [String] else {
            throw RawConnection.Failure(description: "luciq verify ended with \(code): \(errors)")
        }
        // Counts are exact without it.
        for what in mended { #expect(what.contains(/(was|were) missing and (is|are) void now$/), "\(what)") }
        return (count, code == 0)
    }
}

extension LuciqProcess {
    /// The memory it holds, in MiB; nil where the system does not tell as Linux does.
    var residentMemory: Int? {
        guard
            let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),  // Not Linux.
            let match = text.firstMatch(of: /VmRSS:\s+(\d+) kB/)
        else { return nil }
        return Int(match.1).map { $0 / 1024 }
    }
}
