import ArgumentParser
import ChatCore
import ChatHTTP
import ChatJobs
import Logging
import RedisClient
import ServiceLifecycle
import UnixSignals

/// A worker with one job that does nothing, to measure the engine itself.
struct NoopJobs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "jobs", abstract: "Perform BenchJob until SIGTERM.")

    @Option(help: "The Redis with the queue.") var redisUrl: String
    @Option(help: "Jobs at the same time.") var concurrency: Int

    func run() async throws {
        let logger = Logger(label: "luciq-bench") { _ in SwiftLogNoOpLogHandler() }
        let redis = RedisClient(try RedisConfiguration(url: redisUrl), logger: logger)
        var configuration = WorkerConfiguration()
        configuration.concurrency = concurrency
        let worker = Worker(
            configuration, jobs: JobRegistry([BenchJob(redis: redis)]), redis: redis, logger: logger,
            metrics: PrometheusRegistry(version: "bench"))
        try await ServiceGroup(
            services: [redis, worker], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger
        ).run()
    }
}

/// Does nothing; with the time of its enqueueing, it records its latency.
private struct BenchJob: Job {
    static let name = "BenchJob"

    let redis: RedisClient

    /// - Parameter enqueued: empty, or a time in microseconds since 1970.
    func perform(_ enqueued: [Int64]) async throws {
        guard let moment = enqueued.first else { return }
        let waited = WallClock.system.now().microseconds - moment
        redis.post([RedisCommand("RPUSH", "bench:latencies", String(waited))])
    }
}
