import ChatCore
import ChatJobs
import RedisClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct CronSchedulerTests {
    @Test(arguments: SidekiqFormat.allCases) func tenSchedulersEnqueueATickOnce(_ format: SidekiqFormat) async throws {
        let url = try await SharedServers.freshRedisDatabase()
        try await withCronBench(format, url: url) { bench in
            let jobs = [
                CronBench.cleanup,
                CronJob(name: "count", expression: "*/10 * * * *", job: "Count", queue: "low", description: "Counts."),
            ]
            try await withThrowingTaskGroup { group in
                let meeting = Meeting(of: 10)
                for _ in 0..<10 {
                    group.addTask {
                        var enqueued: [String] = []
                        // Each in a connection of its own, as in a process of its own.
                        try await withCronRedis(url) { redis in
                            let scheduler = try bench.scheduler(jobs[0], jobs[1], redis: redis)
                            for time in ["11:00:00", "11:10:04", "11:20:30", "11:30:00", "12:00:00"] {
                                await meeting.join()
                                enqueued += try await scheduler.poll()
                                await meeting.join { try? bench.at("2026-11-23T\(time)Z") }
                            }
                            enqueued += try await scheduler.poll()
                        }
                        return enqueued
                    }
                }
                var enqueued: [String] = []
                for try await names in group { enqueued += names }
                #expect(enqueued.sorted() == ["clean up", "clean up", "count", "count", "count", "count", "count"])
            }
            #expect(try await bench.queued() == 7)
            #expect(try await bench.strings("SMEMBERS", "queues") == ["low"])
        }
    }

    @Test(arguments: [
        (
            SidekiqFormat.v6, "cron_jobs", "cron_job:clean up",
            #""created_at":1795431607.25,"enqueued_at":1795431607.25}"#
        ),
        (
            .v7, "cron_jobs:default", "cron_job:default:clean up",
            #""created_at":1795431607.25,"enqueued_at":1795431607.25}"#
        ),
        (
            .v8, "cron_jobs:default", "cron_job:default:clean up",
            #""created_at":1795431607250,"enqueued_at":1795431607250}"#
        ),
    ]) func itWritesWhatSidekiqCronWrites(_ format: SidekiqFormat, _ set: String, _ key: String, _ times: String)
        async throws
    {
        try await withCronBench(format) { bench in
            let scheduler = try bench.scheduler()
            #expect(try await scheduler.poll() == [])
            #expect(try await bench.strings("SMEMBERS", set) == [key])
            #expect(
                try await bench.strings(
                    "HMGET", key, "name", "klass", "cron", "description", "args", "status", "message") == [
                        "clean up", "CleanUp", "0 * * * *", "Cleans.", "[]", "enabled",
                        #"{"retry":true,"queue":"low","class":"CleanUp","args":[]}"#,
                    ])
            bench.clock.set(Timestamp(microseconds: 1_795_431_607_250_000))
            #expect(try await scheduler.poll() == ["clean up"])
            #expect(
                try await bench.strings("ZRANGE", key + ":enqueued", "0", "-1", "WITHSCORES") == [
                    "2026-11-23T10:00:00Z", "1795428000", "2026-11-23T11:00:00Z", "1795431600",
                ])
            #expect(try await bench.field("last_enqueue_time") == "2026-11-23 11:00:07 +0000")
            let payload = try #require(try await bench.strings("LRANGE", "queue:low", "0", "-1").first)
            let jid = try JobPayload(Array(payload.utf8)).jid ?? ""
            #expect(payload == #"{"retry":true,"queue":"low","class":"CleanUp","args":[],"jid":"\#(jid)","# + times)
            #expect(
                try await bench.strings("LRANGE", key + ":jid_history", "0", "-1") == [
                    #"{"jid":"\#(jid)","enqueued":"2026-11-23 11:00:07 +0000"}"#
                ])
        }
    }

    @Test func whatIsDueWhenItIsDefinedIsNotRun() async throws {
        try await withCronBench { bench in
            let scheduler = try bench.scheduler()
            for _ in 0..<3 { #expect(try await scheduler.poll() == []) }
            #expect(try await bench.scheduler().poll() == [])
            try bench.at("2026-11-23T10:59:59Z")
            #expect(try await scheduler.poll() == [])
            try bench.at("2026-11-23T11:00:00Z")
            #expect(try await scheduler.poll() == ["clean up"])
        }
    }

    @Test func ofTheTicksThatAllMissedTheLastRunsOnce() async throws {
        try await withCronBench { bench in
            try await bench.scheduler().poll()
            // Three days without a worker; ticks are trimmed after one.
            try bench.at("2026-11-26T13:37:00Z")
            let (one, other) = (try bench.scheduler(), try bench.scheduler())
            #expect(try await one.poll() + other.poll() == ["clean up"])
            for _ in 0..<3 { #expect(try await one.poll() + other.poll() + bench.scheduler().poll() == []) }
            #expect(try await bench.queued() == 1)
            #expect(
                try await bench.strings("ZRANGE", "cron_job:clean up:enqueued", "0", "-1") == ["2026-11-26T13:00:00Z"])
        }
    }

    @Test func aTickThatAllMissedDaysAgoRunsOnce() async throws {
        try await withCronBench { bench in
            let weekly = CronJob(name: "clean up", expression: "0 4 * * mon", job: "C", queue: "low", description: "C.")
            try await bench.scheduler(weekly).poll()
            try bench.at("2026-12-04T13:37:00Z")
            #expect(try await bench.scheduler(weekly).poll() == ["clean up"])
            for _ in 0..<3 { #expect(try await bench.scheduler(weekly).poll() == []) }
            let ticks = try await bench.strings("ZRANGE", "cron_job:clean up:enqueued", "0", "-1")
            #expect(ticks == ["2026-11-30T04:00:00Z"])
        }
    }

    @Test func ticksAndIdsAreKeptForAWhile() async throws {
        try await withCronBench { bench in
            let scheduler = try bench.scheduler()
            for hour in 0..<60 {
                try bench.at("2026-11-2\(3 + hour / 24)T\(hour % 24 < 10 ? "0" : "")\(hour % 24):00:01Z")
                try await scheduler.poll()
            }
            #expect(try await bench.queued() == 59)
            #expect(try await bench.call("ZCARD", "cron_job:clean up:enqueued").integer == 25)
            #expect(try await bench.call("LLEN", "cron_job:clean up:jid_history").integer == 10)
        }
    }

    @Test func aDisabledJobStaysSo() async throws {
        try await withCronBench { bench in
            try await bench.scheduler().poll()
            try await bench.call("HSET", "cron_job:clean up", "status", "disabled")
            let restarted = try bench.scheduler()
            try bench.at("2026-11-23T11:00:05Z")
            #expect(try await restarted.poll() == [])
            #expect(try await bench.field("status") == "disabled")
            // What it missed meanwhile is not made up for.
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
            // A process of the old version, still running, goes by it as well.
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

    /// What an outsider has under whose keys, what of ours, and where we write.
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

    @Test func enqueuingItByHandCountsForTheTickBefore() async throws {
        try await withCronBench { bench in
            let scheduler = try bench.scheduler()
            try await scheduler.poll()
            try bench.at("2026-11-23T11:30:00Z")
            // As the web page leaves it, before any worker was back.
            try await bench.call("HSET", "cron_job:clean up", "last_enqueue_time", "2026-11-23 11:20:00 UTC")
            #expect(try await scheduler.poll() == [])
            try bench.at("2026-11-23T12:00:01Z")
            #expect(try await scheduler.poll() == ["clean up"])
            // One whose clock was wrong does not silence it for years.
            try await bench.call("HSET", "cron_job:clean up", "last_enqueue_time", "2036-11-23 11:20:00 +0100")
            try bench.at("2026-11-23T13:00:01Z")
            #expect(try await scheduler.poll() == ["clean up"])
        }
    }

    @Test func aKeyInDisorderHarmsNoOtherJob() async throws {
        try await withCronBench { bench in
            let other = CronJob(name: "a", expression: "0 * * * *", job: "A", queue: "low", description: "A.")
            let scheduler = try bench.scheduler(other, CronBench.cleanup)
            try await scheduler.poll()
            try await bench.call("DEL", "cron_job:a:enqueued")
            try await bench.call("SET", "cron_job:a:enqueued", "what")
            try bench.at("2026-11-23T11:00:00Z")
            await #expect(throws: RedisError.self) { try await scheduler.poll() }
            #expect(try await bench.queued() == 1)
        }
    }

    @Test func theReportTellsOfAll() async throws {
        try await withCronBench { bench in
            let scheduler = try bench.scheduler()
            try await scheduler.poll()
            try bench.at("2026-11-23T11:00:07Z")
            try await scheduler.poll()
            try await bench.call("SADD", "cron_jobs", "cron_job:theirs", "cron_job:gone")
            try await bench.call(
                "HSET", "cron_job:theirs", "name", "theirs", "klass", "Theirs", "cron", "0 0 * * sun#2", "status",
                "enabled")
            let reports = try await CronReport.all(redis: bench.redis, clock: bench.clock.wall)
            #expect(reports.map(\.name) == ["clean up", "theirs"])
            #expect(reports.map(\.queue) == ["low", "default"])
            #expect(reports[0].lastRun == (try Timestamp(utc: "2026-11-23T11:00:07Z")))
            #expect(reports[0].nextRun == (try Timestamp(utc: "2026-11-23T12:00:00Z")))
            #expect(reports[0].problem == nil)
            #expect(reports[1].problem?.contains("sun#2") == true)
            try await bench.call("HSET", "cron_job:clean up", "status", "disabled")
            let disabled = try await CronReport.all(redis: bench.redis, clock: bench.clock.wall)[0]
            #expect(!disabled.isEnabled && disabled.nextRun == nil)
        }
    }

    @Test func aDefinitionThatCannotBeUsedIsSaidAtOnce() async throws {
        try await withCronBench { bench in
            let job = CronJob(name: "never", expression: "0 0 30 2 *", job: "Never", description: "Never.")
            let error = #expect(throws: CronExpression.Invalid.self) { try bench.scheduler(job) }
            #expect(error?.description.contains("“0 0 30 2 *”") == true)
        }
    }
}

/// Where a fixed number of tasks wait for each other.
private actor Meeting {
    private let size: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(of size: Int) { self.size = size }

    /// - Parameter body: done by the last who comes, before all go on.
    func join(_ body: () -> Void = {}) async {
        if waiting.count == size - 1 {
            body()
            for one in waiting { one.resume() }
            waiting = []
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }
}
