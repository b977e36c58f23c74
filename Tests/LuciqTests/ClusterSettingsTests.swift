import Foundation
import TestSupport
import Testing

/// Settings that cannot work end the start with one line.
@Suite(.timeLimit(.minutes(1))) struct ClusterSettingsTests {
    /// Settings with a single mistake.
    struct Mistake: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout Places) async throws -> Void
        /// Texts that the line contains.
        let words: String
        let code: Int32

        init(
            _ name: String, says words: String, code: Int32,
            _ change: @escaping @Sendable (inout Places) async throws -> Void
        ) {
            self.testDescription = name
            self.change = change
            self.words = words
            self.code = code
        }
    }

    struct Places {
        var mysql: URLComponents
        var redis: URLComponents
        var isMigrated = true
        /// Run on the migrated database.
        var statements = ""
        /// What must live as long as the test.
        var server: RedisServer?

        var environment: [String: String] {
            ["DATABASE_URL": mysql.string ?? "", "REDIS_URL": redis.string ?? ""]
        }
    }

    @Test(arguments: [
        Mistake("wrong password", says: "refuses this user or password", code: 78) { $0.mysql.password = "hunter2" },
        Mistake("unknown host", says: "Cannot connect to the database", code: 69) { $0.mysql.host = "no-host.invalid" },
        Mistake("no such database", says: "There is no such database", code: 78) { $0.mysql.path = "/nowhere" },
        Mistake("nothing listens", says: "Cannot connect to the database", code: 69) {
            $0.mysql.port = try FreePort.any()
        },
        Mistake("no MySQL", says: "Cannot connect to the database", code: 69) { $0.mysql.port = $0.redis.port },
        Mistake("not migrated", says: "Run luciq db migrate", code: 69) { $0.isMigrated = false },
        Mistake("from a newer luciq", says: "that this luciq does not know (20991231000000)", code: 69) {
            $0.statements = "INSERT INTO schema_migrations (version) VALUES ('20991231000000');"
        },
        Mistake("no Redis", says: "Redis", code: 78) { $0.redis.port = $0.mysql.port },
        Mistake("unknown host of Redis", says: "Redis", code: 78) { $0.redis.host = "no-host.invalid" },
        Mistake("wrong password of Redis", says: "Redis", code: 78) { places in
            let server = try await RedisServer.start(["--requirepass", "right"])
            places.redis.port = server.port
            places.redis.password = "hunter2"
            places.server = server
        },
        Mistake("no password of Redis", says: "Redis", code: 78) { places in
            let server = try await RedisServer.start(["--requirepass", "right"])
            places.redis.port = server.port
            places.server = server
        },
    ])
    func aMistakeIsSaidInOneLine(_ mistake: Mistake) async throws {
        var places = Places(
            mysql: try #require(URLComponents(string: try await SharedServers.freshDatabase())),
            redis: try #require(URLComponents(string: try await SharedServers.freshRedisDatabase())))
        let right = places
        try await mistake.change(&places)
        if places.isMigrated {
            let folder = try TemporaryFolder()
            let migration = try await LuciqProcess.run(["db", "migrate"], in: folder, environment: right.environment)
            #expect(migration.code == 0, "\(migration.errors)")
        }
        if !places.statements.isEmpty { try await run(places.statements, on: right.mysql) }
        try await Refusal.expect(places.environment, says: mistake.words, code: mistake.code)
        withExtendedLifetime(places.server) {}
    }

    /// The server continues without it, and says so.
    @Test func aRedisThatIsAwayKeepsNothingFromStarting() async throws {
        let folder = try TemporaryFolder()
        var redis = try #require(URLComponents(string: try await SharedServers.redisURL))
        redis.port = try FreePort.any()
        let (server, client) = try await LuciqProcess.serve(
            ["--migrate"], in: folder,
            environment: ["DATABASE_URL": try await SharedServers.freshDatabase(), "REDIS_URL": redis.string ?? ""])
        let chat = try await client.makeChat()
        #expect(try await client.post(chat + "/messages", json: #"{"body":"x"}"#).status == 201)
        #expect(server.errorText.contains("\"level\":\"warning\""))
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
    }

    private func run(_ statements: String, on url: URLComponents) async throws {
        try await runProgram(
            [
                "mariadb", "--no-defaults", "--host=\(url.host ?? "")", "--port=\(url.port ?? 0)",
                "--user=\(url.user ?? "")", String(url.path.dropFirst()),
            ], input: statements, environment: ["MYSQL_PWD": url.password ?? ""])
    }
}

/// The end of a server that cannot start.
enum Refusal {
    /// Expects that `luciq serve` ends by itself, with one line that says what is wrong and no password.
    ///
    /// - Parameter code: nil for either code of sysexits.h that is used.
    static func expect(_ environment: [String: String], says words: String, code: Int32? = nil) async throws {
        let folder = try TemporaryFolder()
        let process = try LuciqProcess(["serve", "--port", "0"], in: folder, environment: environment)
        try await eventually("it ends", within: 30) { !process.isRunning || process.errorText.contains("listening") }
        process.signal(SIGKILL)
        let end = await process.wait()
        #expect(code.map { end.code == $0 } ?? (end.code == 69 || end.code == 78), "\(end.code)")
        let text = process.errorText
        #expect(text.hasPrefix("luciq: "), "\(text)")
        #expect(text.split(separator: "\n").count == 1, "\(text)")
        #expect(text.contains(words), "\(text)")
        for secret in ["hunter2", MariaDBServer.password] { #expect(!text.contains(secret), "\(text)") }
    }
}
