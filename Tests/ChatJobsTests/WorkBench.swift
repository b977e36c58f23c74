import ChatCore
import ChatJobs
import Logging
import Metrics
import RedisClient
import Synchronization
import TestSupport

/// A private Redis database, with functions to run workers on it.
struct WorkBench: Sendable {
    let redis: RedisClient
    var format = SidekiqFormat.v8

    var queue: JobQueue { JobQueue(redis: redis, format: format) }
    var sets: JobSets { JobSets(redis: redis, format: format) }

    @discardableResult
    func call(_ words: String...) async throws -> RedisValue { try await redis.send(RedisCommand(words)) }

    /// Pushes bytes as they are.
    func push(_ payload: String, to queue: String = "default") async throws {
        try await push(Array(payload.utf8), to: queue)
    }

    func push(_ payload: [UInt8], to queue: String = "default") async throws {
        var command = RedisCommand("LPUSH", "queue:\(queue)")
        command.append(payload)
        _ = try await redis.send(command)
        try await call("SADD", "queues", queue)
    }

    func length(_ list: String) async throws -> Int { Int(try await call("LLEN", list).integer ?? 0) }

    /// All that the held lists of all processes contain.
    func held() async throws -> Int {
        var count = 0
        for key in try await call("KEYS", "luciq:held:*").array ?? [] { count += try await length(key.string ?? "") }
        return count
    }

    /// Returns when a set has that many entries.
    func entries(_ kind: JobSets.Kind, _ count: Int) async throws -> [JobSets.Entry] {
        try await eventually("\(count) entries in \(kind)") { try await sets.size(of: kind) == count }
        return try await sets.list(kind)
    }

    /// A worker for as long as `body` does, then it is stopped and waited for.
    func withWorker(
        _ jobs: [any Job], logger: Logger = silent, clock: RedisClock? = nil,
        _ configure: (inout WorkerConfiguration) -> Void = { _ in },
        _ body: (Worker) async throws -> Void
    ) async throws {
        var configuration = WorkerConfiguration()
        configuration.format = format
        configuration.averagePoll = .milliseconds(100)
        configuration.shutdownTimeout = .seconds(5)
        configuration.intervals.beat = .milliseconds(100)
        configuration.intervals.tick = .milliseconds(50)
        configuration.intervals.rescue = (.milliseconds(100), .milliseconds(200))
        configuration.intervals.audit = .milliseconds(300)
        configure(&configuration)
        let worker = Worker(
            configuration, jobs: JobRegistry(jobs), redis: redis, clock: clock, logger: logger,
            metrics: NOOPMetricsHandler.instance)
        let running = Task { try await worker.run() }
        do {
            try await body(worker)
        } catch {
            running.cancel()
            _ = try? await running.value
            throw error
        }
        worker.stop()
        try await running.value
    }
}

let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs a client for as long as `body` does.
func withWorkBench(
    _ url: String? = nil, format: SidekiqFormat = .v8, _ body: (WorkBench) async throws -> Void
) async throws {
    let own = if let url { url } else { try await SharedServers.freshRedisDatabase() }
    var configuration = try RedisConfiguration(url: own)
    // Tests on the shared server do not test how fast a busy machine answers.
    if url == nil { configuration.commandTimeout = .seconds(10) }
    let redis = RedisClient(configuration, logger: silent)
    let running = Task { try await redis.run() }
    defer { running.cancel() }
    try await redis.waitUntilConnected(timeout: .seconds(20))
    try await body(WorkBench(redis: redis, format: format))
}

/// Counts what was performed.
final class Tally: Sendable {
    private let counts = Mutex<[Int: Int]>([:])
    private let order = Mutex<[Int]>([])

    func add(_ number: Int) {
        counts.withLock { $0[number, default: 0] += 1 }
        order.withLock { $0.append(number) }
    }

    /// Numbers in the order in which they were performed.
    var all: [Int] { order.withLock(\.self) }
    var distinct: Int { counts.withLock(\.count) }
    func count(_ number: Int) -> Int { counts.withLock { $0[number] ?? 0 } }
}

/// Does what the test says, with a number.
struct NumberJob: Job {
    static let name = "NumberJob"
    static let aliases = ["Old::NumberJob"]

    let body: @Sendable (Int) async throws -> Void

    func perform(_ number: Int) async throws { try await body(number) }
}

/// Takes arguments of many types.
struct OrderJob: Job {
    struct Arguments: Codable, Sendable, Equatable {
        var id: Int
        var name: String
    }

    static let name = "OrderJob"
    static var options: JobOptions {
        var options = JobOptions()
        options.queue = "orders"
        options.retries = 3
        return options
    }

    let body: @Sendable (Arguments) async throws -> Void

    func perform(_ arguments: Arguments) async throws { try await body(arguments) }
}

/// Fails for good.
struct Broken: Error, CustomStringConvertible {
    var description = "it is broken"
}
