import Foundation
import GRDB
import Synchronization
import TestSupport

/// Server processes on one store that keep their ports when they are killed and started again.
final class StreamServers: Sendable {
    /// What they keep messages in.
    enum Store: Sendable {
        case embedded
        case cluster(MariaDBServer, RedisServer)
    }

    let ports: [Int]
    let store: Store
    private let folder: TemporaryFolder
    private let environment: [String: String]
    private let processes: Mutex<[LuciqProcess]>

    /// - Parameter settings: by their environment names.
    static func start(_ count: Int, on store: Store, settings: [String: String] = [:]) async throws -> StreamServers {
        let folder = try TemporaryFolder()
        var environment = settings
        switch store {
        case .embedded: environment["DATABASE_URL"] = "sqlite://" + folder.file("test.sqlite")
        case .cluster(let mariadb, let redis):
            let migration = try await LuciqProcess.run(
                ["db", "migrate"], in: folder, environment: ["DATABASE_URL": mariadb.url(), "REDIS_URL": redis.url()])
            guard migration.code == 0 else { throw RawConnection.Failure(description: migration.errors) }
            // Not an administrator, as in production: so a read-only database refuses its writes too.
            let user = "server@'127.0.0.1'"
            _ = try await mariadb.sql(
                "CREATE USER \(user) IDENTIFIED BY 'secret'; GRANT ALL ON luciq.* TO \(user);")
            environment["DATABASE_URL"] = "mysql://server:secret@127.0.0.1:\(mariadb.port)/luciq"
            environment["REDIS_URL"] = redis.url()
        }
        let servers = StreamServers(
            store, ports: try (0..<count).map { _ in try FreePort.any() }, in: folder, environment)
        for index in 0..<count {
            let process = try await servers.launch(index)
            servers.processes.withLock { $0.append(process) }
        }
        return servers
    }

    private init(_ store: Store, ports: [Int], in folder: TemporaryFolder, _ environment: [String: String]) {
        self.ports = ports
        self.store = store
        self.folder = folder
        self.environment = environment
        self.processes = Mutex([])
    }

    subscript(index: Int) -> LuciqProcess { processes.withLock { $0[index] } }
    func client(_ index: Int = 0) -> Client { Client(port: ports[index]) }

    /// Ends one with a signal, and starts another in its place.
    func replace(_ index: Int, by signal: Int32, meanwhile: () async throws -> Void = {}) async throws {
        self[index].signal(signal)
        await self[index].wait()
        try await meanwhile()
        let process = try await launch(index)
        processes.withLock { $0[index] = process }
    }

    /// The value of one metric.
    func metric(_ name: String, of index: Int = 0) async throws -> Int? {
        try await client(index).get("/metrics").text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
            .flatMap { Double($0.dropFirst(name.count + 1)) }.map { Int($0) }
    }

    /// What `luciq verify` says: empty when everything is as promised.
    func complaints() async throws -> String {
        let (code, output, errors) = try await LuciqProcess.run(["verify"], in: folder, environment: environment)
        return code == 0 ? "" : output + errors
    }

    /// The messages in the database, by their chats' numbers. For one application only.
    func rows() async throws -> [Int: [StreamSubscriber.Row]] {
        var rows: [Int: [StreamSubscriber.Row]] = [:]
        let columns = "SELECT chats.number, messages.number, body FROM messages JOIN chats ON chats.id = chat_id"
        let order = "ORDER BY chats.number, messages.number"
        switch store {
        case .embedded:
            var configuration = Configuration()
            configuration.readonly = true
            let database = try DatabaseQueue(path: folder.file("test.sqlite"), configuration: configuration)
            let all = try database.read { try Row.fetchAll($0, sql: "\(columns) \(order)") }
            for row in all {
                rows[row[0], default: []].append(StreamSubscriber.Row(number: row[1], body: row[2]))
            }
        case .cluster(let mariadb, _):
            // -1 is a void number's.
            let all = try await mariadb.sql("\(columns) WHERE messages.batch_id <> -1 \(order)")
            for line in all.split(separator: "\n") {
                let parts = line.split(separator: "\t")
                guard parts.count == 3, let chat = Int(parts[0]), let number = Int(parts[1]) else { continue }
                rows[chat, default: []].append(StreamSubscriber.Row(number: number, body: String(parts[2])))
            }
        }
        return rows
    }

    private func launch(_ index: Int) async throws -> LuciqProcess {
        try await LuciqProcess.listening(
            ["serve", "--port", "\(ports[index])"], in: folder, environment: environment
        ).process
    }
}
