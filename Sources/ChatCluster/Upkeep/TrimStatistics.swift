import ChatCore
import ChatJobs
import RedisClient

/// Keeps what Sidekiq's formats leave in Redis from growing: the dead set, what cron remembers, statistics of days long
/// past, processes that are gone. Names and bounds are Sidekiq's and sidekiq-cron's.
struct TrimStatistics: Job {
    static let name = "TrimStatistics"
    static var options: JobOptions { .recurring }

    /// sidekiq-cron's `REMEMBER_THRESHOLD`.
    private static let cronLifetime = Duration.seconds(86_400)
    /// Five years, and how far beyond them is looked: a day's keys expire, but for what a restore or a migration lost.
    private static let statisticsDays: ClosedRange<Int64> = 1827...2192
    /// Members looked at a command.
    private static let chunk = 500

    let context: JobContext
    var dead = DeadLimits()
    /// Nil: Redis' own, so that a worker whose clock is ahead trims nothing early.
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

    /// Ticks of a job that is there are kept for a day; those of one that is gone go with it.
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

    /// Those whose hash has expired have not given a sign of life for a minute.
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
