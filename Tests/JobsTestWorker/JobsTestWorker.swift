import ChatJobs
import Foundation
import Logging
import Metrics
import RedisClient
import ServiceLifecycle
import UnixSignals

/// A worker with one job that can be counted: it adds its argument to the set `done`. For tests that start it, kill it and
/// look into Redis.
///
///     JobsTestWorker REDIS_URL CONCURRENCY MILLISECONDS [CRON]
///
/// Each job takes that many milliseconds. With a cron expression it counts the jobs that the clock started in the hash
/// `ticks`, by minute.
@main
struct JobsTestWorker {
    static func main() async throws {
        let arguments = CommandLine.arguments
        let logger = Logger(label: "test") { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = .info
            return handler
        }
        let redis = RedisClient(try RedisConfiguration(url: arguments[1]), logger: logger)
        let jobs = JobRegistry([
            CountingJob(redis: redis, duration: .milliseconds(Int(arguments[3]) ?? 0)),
            TickingJob(redis: redis),
        ])
        var configuration = WorkerConfiguration()
        configuration.concurrency = Int(arguments[2]) ?? 10
        let worker = Worker(
            configuration, jobs: jobs, redis: redis, logger: logger, metrics: NOOPMetricsHandler.instance)
        let ticks = arguments.dropFirst(4).map { expression in
            CronJob(
                name: "tick", expression: expression, job: TickingJob.name, description: "Counts ticks.")
        }
        let scheduler = try CronScheduler(
            ticks, jobs: jobs, redis: redis, interval: .seconds(1), logger: logger)
        let services: [any Service] = [redis, worker, scheduler]
        try await ServiceGroup(services: services, gracefulShutdownSignals: [.sigterm], logger: logger)
            .run()
    }
}

/// Counts itself, once it is done.
private struct CountingJob: Job {
    static let name = "CountingJob"

    let redis: RedisClient
    let duration: Duration

    func perform(_ arguments: [Int]) async throws {
        try await Task.sleep(for: duration)
        // The job counts as done once Redis has answered: one that fails here is retried.
        _ = try await redis.send([
            RedisCommand("SADD", "done", "\(arguments[0])"), RedisCommand("INCR", "performed"),
        ]).map { try $0.get() }
    }
}

private struct TickingJob: Job {
    static let name = "TickingJob"

    let redis: RedisClient

    func perform(_ arguments: NoArguments) async throws {
        let minute = Int(Date().timeIntervalSince1970) / 60
        _ = try await redis.send(RedisCommand("HINCRBY", "ticks", "\(minute)", "1"))
    }
}
