import Foundation
import Synchronization

/// The MariaDB and the Redis that all tests of a process use at the same time: those of `scripts/services run`, or
/// ours, started by the first test that asks. Nothing stops or empties them.
package struct SharedServers: Sendable {
    /// `LUCIQ_TEST_MYSQL_URL`, or the URL of our own server: one whose user may do everything.
    package static var mysqlURL: String {
        get async throws {
            if let url = given("LUCIQ_TEST_MYSQL_URL") { return url }
            return try await mariadb.value().url()
        }
    }

    /// `LUCIQ_TEST_REDIS_URL`, or the URL of our own server.
    package static var redisURL: String {
        get async throws {
            if let url = given("LUCIQ_TEST_REDIS_URL") { return url }
            return try await redis.value().url()
        }
    }

    /// `LUCIQ_TEST_ELASTICSEARCH_URL`, or the URL of our own server. A test uses an index of its own.
    package static var engineURL: String {
        get async throws {
            if let url = given("LUCIQ_TEST_ELASTICSEARCH_URL") { return url }
            return try await osmem.value().url
        }
    }

    /// The URL of a new and empty database with a random name. It stays until its server goes.
    package static func freshDatabase() async throws -> String {
        let name = "luciq_test_" + UUID().uuidString.prefix(13).replacing("-", with: "").lowercased()
        let url = try await mysqlURL
        guard var parts = URLComponents(string: url), let host = parts.host, let user = parts.user else {
            throw ServerFailure("LUCIQ_TEST_MYSQL_URL must be mysql://user:password@host:port/database.")
        }
        try await runProgram(
            ["mariadb", "--no-defaults", "--host=\(host)", "--port=\(parts.port ?? 3306)", "--user=\(user)"],
            input: "CREATE DATABASE \(name) CHARACTER SET utf8mb4;", environment: ["MYSQL_PWD": parts.password ?? ""])
        parts.path = "/\(name)"
        return parts.string ?? url
    }

    /// The URL of a Redis database of the caller's own, empty: a number from 1 to 511, which comes round again.
    ///
    /// Channels have no numbers: what is published is heard by all. A test that publishes and counts what it hears
    /// starts a `RedisServer`.
    package static func freshRedisDatabase() async throws -> String {
        let url = try await redisURL
        guard var parts = URLComponents(string: url), parts.host != nil else {
            throw ServerFailure("LUCIQ_TEST_REDIS_URL must be redis://host:port/0.")
        }
        // Database 0 counts, for all processes that share the server.
        parts.path = "/0"
        let count = try await runProgram(["redis-cli", "-e", "-u", parts.string ?? url, "INCR", "luciq-tests:count"])
        parts.path = "/\((Int(count) ?? 0) % 511 + 1)"
        let own = parts.string ?? url
        try await runProgram(["redis-cli", "-e", "-u", own, "FLUSHDB"])
        return own
    }

    private static let mariadb = Once { try await MariaDBServer.start(["--max-connections=500"]) }
    private static let redis = Once { try await RedisServer.start() }
    private static let osmem = Once { try await OsmemServer.start() }

    private static func given(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// A value that is made once, for the first caller.
final class Once<Value: Sendable>: Sendable {
    private let task = Mutex<Task<Value, any Error>?>(nil)
    private let make: @Sendable () async throws -> Value

    init(_ make: @escaping @Sendable () async throws -> Value) { self.make = make }

    func value() async throws -> Value {
        try await task.withLock { task in
            let made = task ?? Task { [make] in try await make() }
            task = made
            return made
        }.value
    }
}
