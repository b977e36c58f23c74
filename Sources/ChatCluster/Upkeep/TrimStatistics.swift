import ChatCore
import ChatJobs
import RedisClient

/// Trims the data of Sidekiq's formats in Redis: the dead set, the past ticks of cron jobs, old daily statistics, and
/// processes that have died. Names and bounds are Sidekiq's and sidekiq-cron's.
struct TrimStatistics: Job {
    static let name = "TrimStatistics"
    static var options: JobOptions { .recurring }

    /// sidekiq-cron's `REMEMBER_THRESHOLD`.
    private static let cronLifetime = Duration.seconds(86_400)
    /// From five years ago, one year further back. A day's keys expire by themselves, unless a restore or a migration
    /// lost their expiry.
    private static let statisticsDays: ClosedRange<Int64> = 1827...2192
    /// Members per command.
    private static let chunk = 500

    let context: JobContext
    var dead = DeadLimits()
    /// Nil: Redis' clock, so that a worker whose clock is ahead trims nothing early.
    var clock: RedisClock?

    func perform(_ arguments: NoArguments) async throws {
        let clock = clock ?? RedisClock(context.redis, logger: context.logger)
        try await clock.measure()
        let now = clock.now()
        let stint = Stint(.seconds(300), in: context)
        try await trimDead(now)
        try await stint.step()
        for set in ["cron_jobs", "cron_jobs:default"] { try await trimCron(set, now, stint) }
        try await stint.step()
        try await trimDays(now)
        try await trimProcesses(stint)
    }

    private func seconds(before now: Timestamp, _ lifetime: Duration) -> String {
        String(now.adding(.zero - lifetime).microseconds / 1_000_000)
    }

    private func trimDead(_ now: Timestamp) async throws {
        try await send([
            RedisCommand("ZREMRANGEBYSCORE", "dead", "-inf", "(" + seconds(before: now, dead.age)),
            RedisCommand("ZREMRANGEBYRANK", "dead", "0", String(-dead.count - 1)),
        ])
    }

    /// Keeps the ticks of an existing job for a day, and deletes all of a removed one.
    private func trimCron(_ set: String, _ now: Timestamp, _ stint: Stint) async throws {
        try await each(memberOf: set, stint) { jobs in
            let known = try await send(jobs.map { RedisCommand("EXISTS", $0) })
            for (job, isKnown) in zip(jobs, known) {
                if isKnown.integer == 1 {
                    let oldest = "(" + seconds(before: now, Self.cronLifetime)
                    try await send([RedisCommand("ZREMRANGEBYSCORE", job + ":enqueued", "-inf", oldest)])
                } else {
                    try await send([
                        RedisCommand("SREM", set, job),
                        RedisCommand("UNLINK", job + ":enqueued", job + ":jid_history"),
                    ])
                }
            }
        }
    }

    private func trimDays(_ now: Timestamp) async throws {
        let days = Self.statisticsDays.map { String(now.adding(.seconds(-86_400 * $0)).rfc3339.prefix(10)) }
        for some in days.chunks(of: Self.chunk) {
            try await send([
                RedisCommand(["UNLINK"] + some.flatMap { ["stat:processed:" + $0, "stat:failed:" + $0] })
            ])
        }
    }

    /// A process whose hash has expired has sent no heartbeat for a minute.
    private func trimProcesses(_ stint: Stint) async throws {
        try await each(memberOf: "processes", stint) { processes in
            let known = try await send(processes.map { RedisCommand("EXISTS", $0) })
            let gone = zip(processes, known).filter { $0.1.integer != 1 }.map(\.0)
            if !gone.isEmpty { try await send([RedisCommand(["SREM", "processes"] + gone)]) }
        }
    }

    private func each(memberOf set: String, _ stint: Stint, _ body: ([String]) async throws -> Void) async throws {
        var cursor = "0"
        repeat {
            guard try await stint.goesOn() else { return }
            let reply = try await send([RedisCommand("SSCAN", set, cursor, "COUNT", String(Self.chunk))])[0].array ?? []
            cursor = reply.first?.string ?? "0"
            let members = reply.last?.array?.compactMap(\.string) ?? []
            if !members.isEmpty { try await body(members) }
        } while cursor != "0"
    }

    /// - Throws: the first error among the replies.
    @discardableResult
    private func send(_ commands: [RedisCommand]) async throws -> [RedisValue] {
        try await context.redis.send(commands).map { try $0.get() }
    }
}
