import ChatCore
import ChatJobs
import MySQLClient
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// Expired data is deleted, and nothing else.
@Suite(.timeLimit(.minutes(2))) struct JobsHousekeepingTests {
    private static let now = Timestamp(microseconds: 1_800_000_000_000_000)
    private static let clock = WallClock { now }

    @Test func expiredKeysAreDeleted() async throws {
        try await TestCluster.run { test in
            // Eight days: a key's lifetime and a margin.
            for (name, seconds) in [("old", 8 * 86_400 + 1), ("edge", 8 * 86_400 - 60), ("new", 86_400)] {
                let rows = name == "old" ? 2500 : 10
                try await test.sql(
                    """
                    INSERT INTO idempotency_keys
                    SELECT 1, seq % 7, CONCAT('\(name)', seq), REPEAT('x', 32), seq,
                        UTC_TIMESTAMP(6) - INTERVAL \(seconds) SECOND
                    FROM seq_1_to_\(rows)
                    """)
            }
            // A worker whose clock is a year ahead deletes only data that is really old.
            let ahead = WallClock { WallClock.system.now().adding(.seconds(365 * 86_400)) }
            let job = ExpireIdempotencyKeys(context: test.context(), clock: ahead)
            let count = "SELECT COUNT(*) FROM idempotency_keys"
            // It continues where it died.
            let dying = ExpireIdempotencyKeys(
                context: test.context { if $0 == 2 { throw Killed() } }, clock: ahead)
            await #expect(throws: Killed.self) { try await dying.perform(NoArguments()) }
            #expect(try await test.sql(count) == [[1520]])
            async let other: Void = job.perform(NoArguments())
            try await job.perform(NoArguments())
            try await other
            #expect(try await test.sql(count) == [[20]])
            #expect(try await test.sql(count + " WHERE idempotency_key LIKE 'old%'") == [[0]])
        }
    }

    @Test func whatSidekiqLeavesIsTrimmed() async throws {
        try await TestCluster.run { test in
            let (day, now) = (Int64(86_400), Self.now.microseconds / 1_000_000)
            func add(_ key: String, _ scores: [Int64]) async throws {
                for score in scores { _ = try await test.redis("ZADD", key, "\(score)", "\(score)") }
            }
            try await add("dead", [now - 181 * day, now - 179 * day, now])
            _ = try await test.redis("SADD", "cron_jobs:default", "cron_job:default:a", "cron_job:default:gone")
            _ = try await test.redis("HSET", "cron_job:default:a", "name", "a")
            try await add("cron_job:default:a:enqueued", [now - 2 * day, now - day / 2])
            try await add("cron_job:default:gone:enqueued", [now])
            _ = try await test.redis("RPUSH", "cron_job:default:gone:jid_history", "x")
            _ = try await test.redis("SADD", "processes", "alive:1:a", "gone:2:b")
            _ = try await test.redis("HSET", "alive:1:a", "info", "{}")
            for key in ["stat:processed", "stat:failed"] {
                for age in [0, 1825, 1828, 2000] as [Int64] {
                    let date = Self.now.adding(.seconds(-age * day)).rfc3339.prefix(10)
                    _ = try await test.redis("SET", "\(key):\(date)", "\(age)")
                }
                _ = try await test.redis("SET", key, "7")
            }
            for _ in 0..<2 {
                try await TrimStatistics(context: test.context(), clock: RedisClock(trusting: Self.clock)).perform(
                    NoArguments())
                #expect(try await test.redis("ZCARD", "dead").integer == 2)
                #expect(
                    try await test.redis("SMEMBERS", "cron_jobs:default").array?.map(\.string) == ["cron_job:default:a"]
                )
                #expect(try await test.redis("ZCARD", "cron_job:default:a:enqueued").integer == 1)
                #expect(try await test.redis("KEYS", "*gone*").array == [])
                #expect(try await test.redis("SMEMBERS", "processes").array?.map(\.string) == ["alive:1:a"])
                #expect(try await test.redis("KEYS", "stat:*").array?.count == 6)
            }
        }
    }

    @Test func theDeadSetIsBounded() async throws {
        try await TestCluster.run { test in
            let members = (0..<Int64(10_050)).flatMap { ["\(Self.now.microseconds / 1_000_000 + $0)", "job \($0)"] }
            _ = try await test.store.redis.send(RedisCommand(["ZADD", "dead"] + members))
            try await TrimStatistics(context: test.context(), clock: RedisClock(trusting: Self.clock)).perform(
                NoArguments())
            #expect(try await test.redis("ZCARD", "dead").integer == 10_000)
            #expect(try await test.redis("ZSCORE", "dead", "job 49").string == nil)
            #expect(try await test.redis("ZSCORE", "dead", "job 50").string != nil)
        }
    }

    @Test func everyJobHasItsTime() async throws {
        try await TestCluster.run { test in
            let jobs = try await ClusterJobs(test.configuration, logger: TestCluster.logger)
            let names = jobs.jobs.flatMap { [type(of: $0).name] + type(of: $0).aliases }
            #expect(Set(names).count == names.count)
            #expect(names.contains("ChatMessagesSyncWorker") && names.contains("ApplicationMessagesSyncWorker"))
            #expect(Set(jobs.cron.map(\.job)) == Set(jobs.jobs.map { type(of: $0).name }))
            #expect(Set(jobs.cron.map(\.name)).count == jobs.cron.count)
            #expect(jobs.cron.allSatisfy { $0.expression.split(separator: " ").count == 5 })
        }
    }
}
