import ArgumentParser
import ChatCore
import ChatJobs
import Logging
import RedisClient

struct Jobs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "Look at background jobs, start and mend them.",
        subcommands: [List.self, Enqueue.self, Retry.self, Kill.self, Dead.self, Stats.self]
    )
}

/// The jobs in Redis.
struct JobsInRedis {
    let redis: RedisClient
    let format: SidekiqFormat
    let dead: DeadLimits
    /// The configured queue; nil if none is.
    let configuredQueue: String?
    /// Redis' clock: with another one, jobs would be scheduled or trimmed at a wrong time.
    let clock: WallClock

    var queue: JobQueue { JobQueue(redis: redis, format: format, clock: clock) }
    var sets: JobSets { JobSets(redis: redis, format: format, clock: clock, dead: dead) }
}

extension JobsFlags {
    /// Runs a command; turns a problem into one sentence and an exit code.
    func withJobs(_ body: (JobsInRedis) async throws -> Void) async throws {
        let configuration: RedisConfiguration
        let format: SidekiqFormat
        let dead: DeadLimits
        let queue: String?
        do {
            let settings = try Settings(flags: values, file: config)
            configuration = try settings.redis(for: "to the Redis of the jobs")
            format = try settings.sidekiqFormat()
            dead = try settings.deadLimits()
            queue = try settings.firstQueue()
        } catch let invalid as Settings.Invalid {
            throw ExitStatus.configuration(invalid.description)
        }
        // It throws its errors, and does not log them.
        let logger = Logger(label: "luciq") { _ in SwiftLogNoOpLogHandler() }
        let redis = RedisClient(configuration, logger: logger)
        do {
            try await redis.check()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await redis.run() }
                defer { group.cancelAll() }
                try await redis.waitUntilConnected(timeout: configuration.connectTimeout)
                let clock = RedisClock(redis, logger: logger)
                try await clock.measure()
                try await body(
                    JobsInRedis(
                        redis: redis, format: format, dead: dead, configuredQueue: queue, clock: clock.wall))
            }
        } catch let error as RedisError {
            if case .unusable = error { throw ExitStatus.configuration("\(error) (\(configuration)).") }
            throw ExitStatus.unavailable("\(error) (\(configuration)).")
        }
    }
}

extension ExitStatus {
    /// The requested entry does not exist.
    static let absent = ExitStatus(code: ExitCode(1))
}
