import Logging
import Synchronization
import TestSupport
import Testing

@testable import RedisClient

/// A server that answers, but with errors.
@Suite(.timeLimit(.minutes(1))) struct RedisRefusalTests {
    @Test(arguments: [
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("MISCONF Redis is configured to save RDB snapshots", "MISCONF"),
        ("MOVED 3999 127.0.0.1:6381", "MOVED"),
        ("ERR Error running script (call to f_1): @user_script:2: -OOM command not allowed", "OOM"),
        ("ERR The user executing the script can't run this command or subcommand", "NOPERM"),
    ])
    func theCauseIsNamed(_ text: String, _ cause: String) {
        #expect(RedisError.server(text).refusal == cause)
    }

    @Test(arguments: [
        "ERR value is not an integer or out of range", "WRONGTYPE Operation against a key",
        "NOSCRIPT No matching script.",
        "READONLY You can't write against a read only replica.",
    ])
    func aKeysOwnTroubleIsNone(_ text: String) { #expect(RedisError.server(text).refusal == nil) }

    /// Redis is full, then denies access, then recovers: one log line for each cause, however many commands fail.
    @Test func eachCauseIsLoggedOnce() async throws {
        let server = try await RedisServer.start()
        let log = Lines()
        let client = RedisClient(
            try RedisConfiguration(url: server.url()), logger: log.logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await client.run() }
            defer { tasks.cancelAll() }
            try await client.waitUntilConnected(timeout: .seconds(5))
            let causes = Mutex<[String]>([])
            client.onRefusal { cause in causes.withLock { $0.append(cause) } }
            let commands = [
                RedisCommand("INCRBY", "a", "1"), RedisCommand("SADD", "b", "1"), RedisCommand("PUBLISH", "c", ""),
            ]
            _ = await client.send(commands)
            #expect(client.refusalCauses == [])
            _ = try await server.cli("CONFIG", "SET", "maxmemory", "1")
            for _ in 0..<20 {
                _ = await client.send(commands)
                client.post(commands)
            }
            // The replies to what was posted have come with this one.
            _ = try await client.send(RedisCommand("PING"))
            #expect(client.refusalCauses == ["OOM"])
            #expect(causes.withLock { $0 } == Array(repeating: "OOM", count: 80))
            _ = try await server.cli("CONFIG", "SET", "maxmemory", "0")
            _ = try await server.cli("ACL", "SETUSER", "default", "-publish")
            for _ in 0..<20 { _ = await client.send(commands) }
            #expect(client.refusalCauses == ["NOPERM", "OOM"])
            #expect(log.warnings == ["OOM", "NOPERM"])
        }
    }

    /// A refusal is over when the command has succeeded a while after it.
    @Test func theEndIsLoggedOnce() {
        let log = Lines()
        let refusals = RedisRefusals(logger: log.logger)
        let start = ContinuousClock.now
        let commands = [RedisCommand("INCR", "a"), RedisCommand("PUBLISH", "a", "")]
        let (fine, refused) = (RedisReply.success(.integer(1)), RedisReply.failure(.server("OOM command not allowed")))
        refusals.note(commands, [refused, fine], now: start)
        refusals.note(commands, [fine, fine], now: start + .seconds(1))
        #expect(refusals.causes == ["OOM"])
        refusals.note(commands, [fine, refused], now: start + .seconds(6))
        #expect(refusals.causes == ["OOM"])
        refusals.note(commands, [fine, fine], now: start + .seconds(12))
        #expect(refusals.causes == [])
        refusals.note(commands, [fine, fine], now: start + .seconds(13))
        #expect(log.warnings == ["OOM"] && log.count == 2)
    }
}

/// The levels and causes of the log lines.
private final class Lines: Sendable {
    private struct Handler: LogHandler {
        let lines: Lines
        var logLevel = Logger.Level.notice
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            lines.all.withLock { $0.append((event.level, event.metadata?["cause"].map { "\($0)" } ?? "")) }
        }
    }

    private let all = Mutex<[(level: Logger.Level, cause: String)]>([])

    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }
    var warnings: [String] { all.withLock { $0.filter { $0.level == .warning }.map(\.cause) } }
    var count: Int { all.withLock(\.count) }
}
