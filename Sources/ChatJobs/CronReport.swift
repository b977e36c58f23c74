package import ChatCore
package import RedisClient

/// A cron job in Redis, ours or Ruby's.
package struct CronReport: Sendable {
    package let name: String
    package let expression: String
    /// Its `class`.
    package let job: String
    package let queue: String
    package let description: String
    package let isEnabled: Bool
    /// When it was enqueued last, by the clock or by hand.
    package let lastRun: Timestamp?
    /// Nil for one that is disabled or has a problem.
    package let nextRun: Timestamp?
    /// Why it never runs: one sentence.
    package let problem: String?

    /// All jobs, of any version of sidekiq-cron, by name.
    ///
    /// - Throws: `RedisError`.
    package static func all(redis: RedisClient, clock: WallClock = .system) async throws -> [CronReport] {
        let sets = await redis.send(CronFormat.allCases.map { RedisCommand("SMEMBERS", $0.set) })
        let keys = try sets.flatMap { try $0.get().array ?? [] }
        let replies = await redis.send(keys.map { RedisCommand(["HMGET", $0.string ?? ""] + CronEntry.fields) })
        return try replies.compactMap { reply in
            // A foreign key may be of any type.
            if case .failure(.server) = reply { return nil }
            return CronEntry(try reply.get()).map { CronReport($0, now: clock.now()) }
        }.sorted { $0.name < $1.name }
    }

    private init(_ entry: CronEntry, now: Timestamp) {
        name = entry.name
        expression = entry.expression
        job = entry.job
        queue = entry.queue
        description = entry.description
        isEnabled = entry.isEnabled
        lastRun = entry.lastRun
        var next: Timestamp?
        var problem: String?
        do throws(CronExpression.Invalid) {
            next = try CronExpression(entry.expression).next(after: now)
        } catch {
            problem = error.description
        }
        nextRun = entry.isEnabled ? next : nil
        self.problem = problem
    }
}
