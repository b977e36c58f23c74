import ArgumentParser
import ChatCore
import ChatHTTP
import ChatJobs
import Logging
import RedisClient
import ServiceLifecycle
import UnixSignals

/// A worker with one job, which does nothing: what the engine itself can do.
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

/// Does nothing; told when it was enqueued, it writes down how long ago that was.
private struct BenchJob: Job {
    static let name = "BenchJob"

    let redis: RedisClient

    /// - Parameter enqueued: nothing, or a moment in microseconds since 1970.
    func perform(_ enqueued: [Int64]) async throws {
        guard let moment = enqueued.first else { return }
        let waited = WallClock.system.now().microseconds - moment
        redis.post([RedisCommand("RPUSH", "bench:latencies", String(waited))])
    }
}
