import ChatCore
import ChatJobs
import Foundation
import RedisClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct RubyCronTests {
    /// Away from changes of the clocks, where we differ on purpose.
    @Test func fugitFindsTheSameTicks() async throws {
        let expressions = [
            "* * * * *", "*/7 * * * *", "10-30/10,59 4 * * *", "0 22-2/2 * * *", "45-15/10 7 * * *",
            "0 0 * jan,MAR fri-mon",
            "0 0 * nov-feb 7", "0 0 * * 5-7", "0 6 13 * fri", "0 6 */1 * 1", "0 0 31 * *", "0 0 L * *",
            "0 0 1,last 2 *", "0 0 25-5/2 * *", "0 0 */2 * 1", "15 3 * * * Europe/Berlin", "0 0 * * mon Asia/Kathmandu",
            "@weekly", "@monthly", "@yearly", "@noon", "every 5 minutes", "every 2 hours", "every day",
            "*/20 */3 * * *",
        ]
        let times = ["2026-11-23T02:07:09Z", "2027-03-01T00:00:01Z", "2028-02-29T23:59:59Z", "2026-07-05T12:34:56Z"]
        try await withRuby { bench in
            let code = """
                require "fugit"
                puts Sidekiq.dump_json(\(expressions).flat_map { |text| \(times).map { |time|
                  [text, Fugit.do_parse(text), EtOrbi.parse(time)].then { |text, cron, time|
                    [text, cron.next_time(time).utc.iso8601, cron.previous_time(time).utc.iso8601] } } })
                """
            let ours = try expressions.flatMap { text in
                try times.map { time in
                    let (expression, time) = (try CronExpression(text), try Timestamp(utc: time))
                    return [text, tick(expression.next(after: time)), tick(expression.previous(atOrBefore: time))]
                }
            }
            let theirs = try JSONDecoder().decode([[String]].self, from: Data(try await bench.ruby(code).utf8))
            for (one, other) in zip(ours, theirs) { #expect(one == other) }
            #expect(theirs.count == expressions.count * times.count)
        }

        func tick(_ time: Timestamp?) -> String { time.map { $0.rfc3339.prefix(19) + "Z" } ?? "never" }
    }

    @Test func whatWeWriteIsWhatTheCronPageShows() async throws {
        try await withRuby { bench in
            let web = try await bench.web()
            let notes = RubyNotes()
            let job = CronJob(name: "clean-up", expression: "@every 15m", job: "Echo", description: "Cleans “up”.")
            let scheduler = try CronScheduler([job], redis: bench.redis, format: .v6, logger: CronLog().logger)
            try await scheduler.poll()
            let list = try await web.page("/cron")
            #expect(list.contains("clean-up") && list.contains("*/15&nbsp;*&nbsp;*&nbsp;*&nbsp;*"))
            let own = try await web.page("/cron/clean-up")
            #expect(own.contains("Cleans “up”.") && own.contains("Echo"))

            try await web.press("disable", on: "/cron", in: "/cron/clean-up/disable")
            try await scheduler.poll()
            var report = try await CronReport.all(redis: bench.redis)[0]
            #expect(!report.isEnabled && report.expression == "*/15 * * * *")
            // The start of another process leaves it so.
            let other = try CronScheduler([job], redis: bench.redis, format: .v6, logger: CronLog().logger)
            try await other.poll()
            #expect(try await CronReport.all(redis: bench.redis)[0].isEnabled == false)
            try await web.press("enable", on: "/cron", in: "/cron/clean-up/enable")
            #expect(try await CronReport.all(redis: bench.redis)[0].isEnabled)

            try await web.press("enque", on: "/cron/clean-up", in: "enque")
            try await bench.withWorker([EchoJob(notes: notes)]) { _ in
                try await eventually("it is performed") { notes.all == ["[]"] }
            }
            report = try await CronReport.all(redis: bench.redis)[0]
            let lastRun = try #require(report.lastRun)
            #expect(lastRun > WallClock.system.now().adding(.seconds(-60)))
            let history = try await bench.list("cron_job:clean-up:jid_history")
            #expect(history.count == 1)
            let jid = try #require(history.first?.firstMatch(of: /"jid":"(\w+)"/)?.1)
            #expect(try await web.page("/cron/clean-up").contains(jid))

            // Disabled and then deleted, it comes back disabled.
            try await web.press("disable", on: "/cron", in: "/cron/clean-up/disable")
            try await scheduler.poll()
            try await web.press("delete", on: "/cron", in: "/cron/clean-up/delete")
            #expect(try await web.page("/cron").contains("No cron jobs were found"))
            try await scheduler.poll()
            #expect(try await CronReport.all(redis: bench.redis).map(\.isEnabled) == [false])
        }
    }

    /// What initializers of Rails applications do at each start.
    @Test(arguments: [
        "Sidekiq::Cron::Job.destroy_all!",
        "Sidekiq::Cron::Job.load_from_hash!('theirs' => {'cron' => '*/5 * * * *', 'class' => 'Theirs'})",
    ])
    func whatAnInitializerDeletesComesBack(_ code: String) async throws {
        try await withRuby { bench in
            let scheduler = try CronScheduler(
                [CronBench.cleanup], redis: bench.redis, format: .v6, logger: CronLog().logger)
            try await scheduler.poll()
            try await bench.ruby("require \"sidekiq/cron\"\n\(code)")
            #expect(try await bench.call("EXISTS", "cron_job:clean up").integer == 0)
            try await scheduler.poll()
            try await bench.expect(
                "require \"sidekiq/cron\"; Sidekiq::Cron::Job.find(\"clean up\").status", is: "\"enabled\"")
        }
    }

    @Test func whatRubyDefinesIsLeftAloneAndReported() async throws {
        try await withRuby { bench in
            try await bench.ruby(
                """
                require "sidekiq/cron"
                Sidekiq::Cron::Job.create("name" => "theirs", "cron" => "*/5 * * * *", "class" => "Theirs",
                  "queue" => "other", "args" => [1.0], "description" => "Ruby's")
                """)
            let before = try await bench.call("HGETALL", "cron_job:theirs")
            let clock = HandClock(WallClock.system.now().adding(.seconds(3600)))
            let scheduler = try CronScheduler(
                [CronBench.cleanup], redis: bench.redis, format: .v6, clock: RedisClock(trusting: clock.wall),
                logger: CronLog().logger)
            try await scheduler.poll()
            clock.set(clock.wall.now().adding(.seconds(3600)))
            #expect(try await scheduler.poll() == ["clean up"])
            #expect(try await bench.call("HGETALL", "cron_job:theirs") == before)
            #expect(try await bench.call("ZCARD", "cron_job:theirs:enqueued").integer == 1)
            #expect(try await bench.call("SMEMBERS", "queues").array?.compactMap(\.string) == ["low"])
            let report = try #require(
                try await CronReport.all(redis: bench.redis).first { $0.name == "theirs" })
            #expect(report.queue == "other" && report.job == "Theirs" && report.isEnabled && report.nextRun != nil)
        }
    }

    /// Each of the two tries every tick, in Ruby's own code and at the same moment as ours: none is enqueued twice.
    @Test func aRubySchedulerBesideUsEnqueuesNoTickTwice() async throws {
        try await withRuby { bench in
            let clock = HandClock(try Timestamp(utc: "2026-11-23T10:00:30Z"))
            let job = CronJob(name: "each minute", expression: "* * * * *", job: "Echo", description: "Each minute.")
            let scheduler = try CronScheduler(
                [job], redis: bench.redis, format: .v6, clock: RedisClock(trusting: clock.wall),
                logger: CronLog().logger)
            try await scheduler.poll()
            for minute in 1...6 {
                try clock.set(Timestamp(utc: "2026-11-23T10:0\(minute):02Z"))
                async let ours = scheduler.poll()
                async let theirs = bench.ruby(
                    """
                    require "sidekiq/cron"
                    time = Time.utc(2026, 11, 23, 10, \(minute), 2)
                    Time.define_singleton_method(:now) { time }
                    Sidekiq::Cron::Job.all.each { |job| job.test_and_enque_for_time!(time) }
                    """)
                _ = try await (ours, theirs)
                // And once more, whoever was first.
                #expect(try await scheduler.poll() == [])
                #expect(try await bench.list("queue:default").count == minute)
            }
            // The same tick when Ruby comes first.
            try await bench.ruby(
                """
                require "sidekiq/cron"
                time = Time.utc(2026, 11, 23, 10, 7, 2)
                Time.define_singleton_method(:now) { time }
                Sidekiq::Cron::Job.all.each { |job| job.test_and_enque_for_time!(time) }
                """)
            try clock.set(Timestamp(utc: "2026-11-23T10:07:04Z"))
            #expect(try await scheduler.poll() == [])
            #expect(try await bench.list("queue:default").count == 7)
            let ticks = try await bench.call("ZRANGE", "cron_job:each minute:enqueued", "0", "-1").array ?? []
            #expect(ticks.compactMap(\.string) == (0...7).map { "2026-11-23T10:0\($0):00Z" })
        }
    }
}
