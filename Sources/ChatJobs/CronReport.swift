package import ChatCore
package import RedisClient

/// A cron job as it stands in Redis, ours or Ruby's.
package struct CronReport: Sendable {
    package let name: String
    package let expression: String
    /// Its `class`.
    package let job: String
    package let queue: String
    package let description: String
    package let isEnabled: Bool
    /// When it was enqueued last, whether by the clock or by somebody.
    package let lastRun: Timestamp?
    /// Nil for one that is disabled or has a problem.
    package let nextRun: Timestamp?
    /// Why it never runs: one sentence.
    package let problem: String?

    /// All that there are, by name.
    ///
    /// - Throws: `RedisError`.
    package static func all(
        redis: RedisClient, format: SidekiqFormat = .v8, clock: WallClock = .system
    ) async throws -> [CronReport] {
        let keys = try await redis.send(RedisCommand("SMEMBERS", format.cronSet)).array ?? []
        let replies = await redis.send(keys.map { RedisCommand(["HMGET", $0.string ?? ""] + CronEntry.fields) })
        return try replies.compactMap { reply in
            // Somebody else's key may be of any type.
            if case .failure(.server) = reply { return nil }
            return CronEntry(try reply.get()).map { CronReport($0, now: clock.now()) }
        }.sorted { $0.name < $1.name }
    }

    private init(_ entry: CronEntry, now: Timestamp) {
        name = entry.name
        expression = entry.expression
        job = entry.job
        // Somebody else's may be anything.
        queue = (try? JobPayload(entry.message))?.queue ?? "default"
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
