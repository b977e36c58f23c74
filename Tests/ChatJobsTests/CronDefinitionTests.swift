import ChatCore
import ChatJobs
import RedisClient
import TestSupport
import Testing

/// What happens to definitions that others change, delete or disable.
@Suite(.timeLimit(.minutes(3))) struct CronDefinitionTests {
    @Test func aDisabledJobStaysSo() async throws {
        try await withCronBench { bench in
            try await bench.scheduler().poll()
            try await bench.call("HSET", "cron_job:clean up", "status", "disabled")
            let restarted = try bench.scheduler()
            try bench.at("2026-11-23T11:00:05Z")
            #expect(try await restarted.poll() == [])
            #expect(try await bench.field("status") == "disabled")
            // Ticks that it missed meanwhile are not made up for.
            try await bench.call("HSET", "cron_job:clean up", "status", "enabled")
            #expect(try await bench.scheduler().poll() == [])
            try bench.at("2026-11-23T12:00:05Z")
            #expect(try await restarted.poll() == ["clean up"])
        }
    }

    @Test func aChangedExpressionIsWritten() async throws {
        try await withCronBench { bench in
            let old = try bench.scheduler()
            try await old.poll()
            try await bench.call("HSET", "cron_job:clean up", "status", "disabled")
            let changed = CronJob(
                name: "clean up", expression: "@every 20m", job: "CleanUp", queue: "other", description: "Now.")
            try bench.at("2026-11-23T10:30:00Z")
            let new = try bench.scheduler(changed)
            // 10:20 was before the change.
            #expect(try await new.poll() == [])
            #expect(try await bench.field("cron") == "*/20 * * * *")
            #expect(try await bench.field("description") == "Now.")
            #expect(try await bench.field("status") == "disabled")
            try await bench.call("HSET", "cron_job:clean up", "status", "enabled")
            // A process of the old version that still runs follows it too.
            try bench.at("2026-11-23T10:40:00Z")
            #expect(try await old.poll() == ["clean up"])
            #expect(try await new.poll() == [])
        }
    }

    @Test func definitionsComeBackAfterAFlush() async throws {
        try await withCronBench { bench in
            let scheduler = try bench.scheduler()
            try await scheduler.poll()
            try await bench.call("FLUSHDB")
            try bench.at("2026-11-23T11:30:00Z")
            #expect(try await scheduler.poll() == [])
            #expect(try await bench.field("status") == "enabled")
            #expect(try await bench.strings("SMEMBERS", "cron_jobs") == ["cron_job:clean up"])
            #expect(try await scheduler.poll() == [])
            try bench.at("2026-11-23T12:00:00Z")
            #expect(try await scheduler.poll() == ["clean up"])
            #expect(bench.log.warnings == [])
        }
    }

    /// As `Sidekiq::Cron::Job.destroy_all!` does it, and the page's Delete.
    private func delete(_ bench: CronBench) async throws {
        try await bench.call("SREM", "cron_jobs", "cron_job:clean up")
        try await bench.call("DEL", "cron_job:clean up:enqueued", "cron_job:clean up:jid_history", "cron_job:clean up")
    }

    @Test func aJobThatSomebodyDeletedComesBack() async throws {
        try await withCronBench { bench in
            let scheduler = try bench.scheduler()
            try await scheduler.poll()
            try await delete(bench)
            try bench.at("2026-11-23T11:00:00Z")
            #expect(try await scheduler.poll() == [])
            #expect(try await bench.field("status") == "enabled")
            #expect(try await bench.strings("SMEMBERS", "cron_jobs") == ["cron_job:clean up"])
            try bench.at("2026-11-23T12:00:00Z")
            #expect(try await scheduler.poll() == ["clean up"])
            #expect(bench.log.warnings == [])
        }
    }

    @Test func aDeletedJobThatWasDisabledComesBackDisabledUntilSomebodyEnablesIt() async throws {
        try await withCronBench { bench in
            let scheduler = try bench.scheduler()
            try await scheduler.poll()
            try await bench.call("HSET", "cron_job:clean up", "status", "disabled")
            try await scheduler.poll()
            try await delete(bench)
            try await scheduler.poll()
            #expect(try await bench.field("status") == "disabled")
            try await bench.call("HSET", "cron_job:clean up", "status", "enabled")
            try await scheduler.poll()
            try await delete(bench)
            try await bench.scheduler().poll()
            #expect(try await bench.field("status") == "enabled")
        }
    }

    /// A worker with another first queue was there and has gone.
    @Test func aQueueThatNobodyServesIsGivenUp() async throws {
        try await withCronBench { bench in
            let scheduler = try bench.scheduler()
            try await scheduler.poll()
            let moved = CronJob(
                name: "clean up", expression: "0 * * * *", job: "CleanUp", queue: "other", description: "Cleans.")
            try await bench.scheduler(moved).poll()
            try await bench.call("SADD", "processes", "host:1:a")
            try await bench.call("HSET", "host:1:a", "info", #"{"version":"luciq","queues":["x","other"]}"#)
            try await scheduler.poll()
            #expect(try await bench.field("message")?.contains(#""queue":"other""#) == true)
            // A Ruby process may serve it, but has not our classes.
            try await bench.call("HSET", "host:1:a", "info", #"{"version":"8.0.8","queues":["other"]}"#)
            try await scheduler.poll()
            #expect(try await bench.field("message")?.contains(#""queue":"low""#) == true)
        }
    }

    /// Which keys another sidekiq-cron version has, which of our jobs it has, and which keys we then write.
    @Test(arguments: [
        ([], SidekiqFormat.v6, CronFormat.v1), ([], .v7, .v2), ([], .v8, .v2),
        (["cron_job:theirs"], .v7, .v1), (["cron_job:theirs"], .v8, .v1), (["cron_job:default:theirs"], .v6, .v2),
        (["cron_job:theirs", "cron_job:default:theirs"], .v8, .v2),
        // sidekiq-cron 2 has taken ours over.
        (["cron_job:default:clean up"], .v6, .v2), (["cron_job:clean up"], .v8, .v2),
    ])
    func itWritesWhereRubyLooks(_ keys: [String], _ sidekiq: SidekiqFormat, _ expected: CronFormat) async throws {
        try await withCronBench(sidekiq) { bench in
            for key in keys {
                let set = key.hasPrefix("cron_job:default:") ? CronFormat.v2.set : CronFormat.v1.set
                try await bench.call("SADD", set, key)
            }
            try await bench.scheduler().poll()
            #expect(try await bench.call("HGET", expected.key("clean up"), "klass").string == "CleanUp")
            let other: CronFormat = expected == .v1 ? .v2 : .v1
            #expect(try await bench.call("EXISTS", other.key("clean up")).integer == 0)
        }
    }

    /// Ruby comes later, with the other sidekiq-cron: the job moves, and each tick is enqueued once.
    @Test func aJobMovesToTheKeysOfTheRubyThatComes() async throws {
        try await withCronBench(.v8) { bench in
            let scheduler = try bench.scheduler()
            try await scheduler.poll()
            try await bench.call("HSET", "cron_job:default:clean up", "status", "disabled")
            try await bench.call("SADD", "cron_jobs", "cron_job:theirs")
            try bench.at("2026-11-23T11:00:05Z")
            #expect(try await scheduler.poll() == [])
            #expect(try await bench.strings("KEYS", "cron_job:default:*") == [])
            #expect(try await bench.call("HGET", "cron_job:clean up", "status").string == "disabled")
            try await bench.call("HSET", "cron_job:clean up", "status", "enabled")
            try bench.at("2026-11-23T12:00:05Z")
            #expect(try await scheduler.poll() == ["clean up"])
            #expect(try await bench.queued() == 1)
        }
    }

    @Test func jobsOfOthersAreLeftAlone() async throws {
        try await withCronBench { bench in
            try await bench.call("SADD", "cron_jobs", "cron_job:theirs")
            try await bench.call(
                "HSET", "cron_job:theirs", "name", "theirs", "klass", "Theirs", "cron", "* * * * *", "status", "enabled"
            )
            try await bench.call("ZADD", "cron_job:theirs:enqueued", "1", "then")
            let scheduler = try bench.scheduler()
            for minute in 10..<15 {
                try bench.at("2026-11-23T11:\(minute):00Z")
                try await scheduler.poll()
            }
            #expect(try await bench.strings("HGETALL", "cron_job:theirs").count == 8)
            #expect(try await bench.strings("ZRANGE", "cron_job:theirs:enqueued", "0", "-1") == ["then"])
            #expect(try await bench.strings("SMEMBERS", "queues") == [])
        }
    }

    @Test func anEditedExpressionHoldsUntilTheNextStart() async throws {
        try await withCronBench { bench in
            let scheduler = try bench.scheduler()
            try await scheduler.poll()
            try await bench.call("HSET", "cron_job:clean up", "cron", "15 * * * * Europe/Berlin")
            try bench.at("2026-11-23T10:30:00Z")
            #expect(try await scheduler.poll() == [])
            try bench.at("2026-11-23T11:15:00Z")
            #expect(try await scheduler.poll() == ["clean up"])
            try await bench.call("HSET", "cron_job:clean up", "cron", "whenever")
            try bench.at("2026-11-23T12:20:00Z")
            for _ in 0..<3 { #expect(try await scheduler.poll() == []) }
            #expect(bench.log.warnings.count == 1)
            #expect(bench.log.warnings.first?.contains("“whenever”") == true)
            try await bench.scheduler().poll()
            #expect(try await bench.field("cron") == "0 * * * *")
        }
    }
}
