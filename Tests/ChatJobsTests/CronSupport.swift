import ChatCore
import ChatJobs
import Logging
import RedisClient
import Synchronization
import TestSupport

/// A Redis of the test's own, a clock that it sets, and schedulers on both.
struct CronBench: Sendable {
    let redis: RedisClient
    let clock: HandClock
    let format: SidekiqFormat
    let log = CronLog()

    static let cleanup = CronJob(
        name: "clean up", expression: "0 * * * *", job: "CleanUp", queue: "low", description: "Cleans.")

    func scheduler(
        _ jobs: CronJob..., redis: RedisClient? = nil, interval: Duration = .seconds(10), time: Timekeeper = .continuous
    )
        throws -> CronScheduler
    {
        try CronScheduler(
            jobs.isEmpty ? [Self.cleanup] : jobs, redis: redis ?? self.redis, format: format, interval: interval,
            clock: RedisClock(trusting: clock.wall), time: time, logger: log.logger)
    }

    func at(_ time: String) throws { try clock.set(Timestamp(utc: time)) }

    @discardableResult
    func call(_ arguments: String...) async throws -> RedisValue { try await redis.send(RedisCommand(arguments)) }

    func strings(_ arguments: String...) async throws -> [String] {
        try await redis.send(RedisCommand(arguments)).array?.map { $0.string ?? "" } ?? []
    }

    func field(_ name: String, of job: String = "clean up") async throws -> String? {
        try await call("HGET", (format == .v6 ? CronFormat.v1 : .v2).key(job), name).string
    }

    /// How many jobs are in the queue.
    func queued(_ queue: String = "low") async throws -> Int {
        Int(try await call("LLEN", SidekiqKey.queue(queue)).integer ?? -1)
    }
}

/// Runs `body` with a bench; it is 10:00:30.
func withCronBench(_ format: SidekiqFormat = .v6, url: String? = nil, _ body: (CronBench) async throws -> Void)
    async throws
{
    var given = url
    if given == nil { given = try await SharedServers.freshRedisDatabase() }
    let clock = HandClock(try Timestamp(utc: "2026-11-23T10:00:30Z"))
    try await withCronRedis(given ?? "") { redis in
        try await body(CronBench(redis: redis, clock: clock, format: format))
    }
}

/// Runs a client for as long as `body` does.
func withCronRedis(_ url: String, _ body: (RedisClient) async throws -> Void) async throws {
    let client = RedisClient(
        try RedisConfiguration(url: url), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let running = Task { try await client.run() }
    defer { running.cancel() }
    try await client.waitUntilConnected(timeout: .seconds(20))
    try await body(client)
}

final class HandClock: Sendable {
    private let time: Mutex<Timestamp>

    init(_ time: Timestamp) { self.time = Mutex(time) }

    var wall: WallClock { WallClock { self.time.withLock(\.self) } }

    func set(_ new: Timestamp) { time.withLock { $0 = new } }
}

/// The log lines at warning level or above.
final class CronLog: Sendable {
    private let lines = Mutex<[String]>([])

    var warnings: [String] { lines.withLock(\.self) }

    var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }

    private struct Handler: LogHandler {
        let log: CronLog
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            guard event.level >= .warning else { return }
            log.lines.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") }
        }
    }
}
