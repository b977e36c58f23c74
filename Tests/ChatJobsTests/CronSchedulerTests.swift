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
            // A scheduler whose clock was wrong does not stop the job for years.
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

    /// - Parameter body: run by the last task to arrive, before all continue.
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
