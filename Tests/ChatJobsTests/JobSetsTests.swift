import ChatCore
import ChatJobs
import RedisClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct JobSetsTests {
    @Test func entriesAreListedFoundAndMoved() async throws {
        try await withWorkBench { bench in
            let sets = bench.sets
            let soon = WallClock.system.now().adding(.seconds(1000))
            var ids: [String] = []
            for number in 0..<5 {
                let at = soon.adding(.seconds(number))
                ids.append(try #require(try await bench.queue.enqueue(NumberJob.self, number, at: at)))
            }
            let page = try await sets.list(.schedule, from: 1, limit: 2)
            #expect(page.map(\.jid) == [ids[1], ids[2]])
            #expect(page[0].job == "NumberJob")
            #expect(page[0].arguments == "[1]")
            #expect(page[0].queue == "default")
            #expect(abs(page[0].at.seconds - soon.seconds - 1) < 0.001)
            #expect(page[0].payload?.raw("enqueued_at") == nil)
            #expect(page[0].payload?.time("created_at") != nil)
            #expect(try await sets.find("*", in: .schedule) == nil)
            #expect(try await sets.find(ids[3], in: .retry) == nil)
            let found = try #require(try await sets.find(ids[3], in: .schedule))
            #expect(try await sets.requeue(found))
            #expect(try await !sets.requeue(found))
            #expect(try await sets.delete(page[0]))
            #expect(try await !sets.delete(page[0]))
            #expect(try await sets.kill(page[1]))
            #expect(try await !sets.kill(page[1]))
            let dead = try #require(try await sets.list(.dead).first)
            #expect(dead.jid == ids[2])
            #expect(try await !sets.kill(dead))
            let statistics = try await sets.statistics()
            #expect(statistics.scheduled == 2 && statistics.dead == 1 && statistics.enqueued == 1)
            let queues = try await sets.queues()
            #expect(queues.map(\.name) == ["default"])
            #expect(queues[0].size == 1 && queues[0].latency < .seconds(60))
            try await sets.clear(.schedule)
            #expect(try await sets.size(of: .schedule) == 0)
        }
    }

    @Test func whatRubyWritesIsRead() async throws {
        try await withWorkBench { bench in
            try await bench.call("SADD", "processes", "box:9:aa")
            try await bench.call(
                "HSET", "box:9:aa", "info",
                "{\"hostname\":\"box\",\"started_at\":1700000000.5,\"pid\":9,\"tag\":\"app\",\"concurrency\":5,"
                    + "\"queues\":[\"a\",\"b\"],\"labels\":[],\"identity\":\"box:9:aa\"}",
                "busy", "2", "beat", "1700000100.25", "quiet", "true", "rss", "1024", "rtt_us", "77")
            try await bench.call(
                "HSET", "box:9:aa:workers", "t1",
                "{\"queue\":\"a\",\"payload\":\"{\\\"class\\\":\\\"X\\\",\\\"args\\\":[],\\\"jid\\\":\\\"j\\\"}\",\"run_at\":1700000099}"
            )
            let process = try #require(try await bench.sets.processes().first)
            #expect(process.hostname == "box" && process.pid == 9 && process.queues == ["a", "b"] && process.isQuiet)
            #expect(process.startedAt == Timestamp(microseconds: 1_700_000_000_500_000))
            #expect(process.beat == Timestamp(microseconds: 1_700_000_100_250_000))
            #expect(process.residentKilobytes == 1024 && process.roundTripMicroseconds == 77 && process.busy == 2)
            let work = try #require(try await bench.sets.work().first)
            #expect(work.job == "X" && work.jid == "j" && work.queue == "a" && work.tid == "t1")
        }
    }

    @Test func theDeadAreNotKeptForEver() async throws {
        try await withWorkBench { bench in
            // The oldest is past its time, the others are too many.
            var command = RedisCommand("ZADD", "dead", "1", "old")
            let now = WallClock.system.now().seconds
            for number in 0..<10_005 {
                command.append("\(now - 20_000 + Double(number))")
                command.append("\(number)")
            }
            _ = try await bench.redis.send(command)
            try await bench.push("no job")
            try await bench.withWorker([NumberJob { _ in }]) { _ in
                try await eventually("it is dead") { try await bench.sets.list(.dead, limit: 1).first?.jid != nil }
            }
            #expect(try await bench.sets.size(of: .dead) == 10_000)
            #expect(try await bench.call("ZSCORE", "dead", "old") == .null)
            #expect(try await bench.call("ZSCORE", "dead", "5") == .null)
            #expect(try await bench.call("ZSCORE", "dead", "6") != .null)
        }
    }

    /// Sidekiq reads how many threads a process has from `info`, and from 8.1.2 on from beside it.
    @Test func concurrencyIsWhereEachSidekiqLooks() async throws {
        try await withWorkBench { bench in
            try await bench.withWorker([], { $0.concurrency = 7 }) { worker in
                try await eventually("it is seen") { try await bench.sets.processes().count == 1 }
                #expect(try await bench.call("HGET", worker.identity, "concurrency").string == "7")
                #expect(
                    try await bench.call("HGET", worker.identity, "info").string?.contains(#""concurrency":7,"#) == true
                )
            }
            for (process, fields) in [
                "old": ["info", #"{"concurrency":5}"#], "new": ["info", #"{"pid":1}"#, "concurrency", "5"],
            ] {
                _ = try await bench.redis.send(RedisCommand(["HSET", process] + fields))
                try await bench.call("SADD", "processes", process)
            }
            #expect(try await bench.sets.processes().map(\.concurrency) == [5, 5])
        }
    }

    @Test func classesAreFoundByTheirBytes() throws {
        let registry = JobRegistry([NamedJob()])
        #expect(registry.contains("Caf\u{E9}") && !registry.contains("Cafe\u{301}"))
    }

    @Test(arguments: SidekiqFormat.allCases)
    func everyFormatHasItsKeys(_ format: SidekiqFormat) async throws {
        try await withWorkBench(format: format) { bench in
            let tally = Tally()
            let gate = Tally()
            let job = NumberJob { number in
                tally.add(number)
                if number == 2 { try await eventually("the gate opens") { gate.distinct == 1 } }
                if number == 1 { throw Broken() }
            }
            try await bench.withWorker([job]) { worker in
                for number in 0..<3 { try await bench.queue.enqueue(NumberJob.self, number) }
                let retry = try #require(try await bench.entries(.retry, 1).first)
                let failedAt = String(decoding: try #require(retry.payload?.raw("failed_at")), as: UTF8.self)
                #expect(failedAt.contains(".") == (format != .v8))
                let work = worker.identity + (format == .v6 ? ":workers" : ":work")
                try await eventually("it is seen") { try await bench.call("HLEN", work).integer == 1 }
                gate.add(1)
            }
            let keys = (try await bench.call("KEYS", "*").array ?? []).compactMap(\.string)
            let metrics = keys.filter { $0.hasPrefix("j|") }
            let time = WallClock.system.now().rfc3339
            let day = time.prefix(10).replacing("-", with: "")
            switch format {
            case .v6: #expect(metrics.isEmpty)
            case .v7:
                // One or two, as a minute may have passed.
                #expect((1...2).contains(metrics.count) && metrics.allSatisfy { $0.hasPrefix("j|\(day)|") })
            case .v8:
                #expect(
                    (2...4).contains(metrics.count) && metrics.allSatisfy { $0.hasPrefix("j|\(day.dropFirst(2))|") })
            }
            if format == .v8, let minute = metrics.max(by: { $0.utf8.count < $1.utf8.count }) {
                #expect(try await bench.call("HGET", minute, "NumberJob|p").integer ?? 0 >= 1)
                #expect(keys.contains { $0.hasPrefix("h|NumberJob-") })
            }
            #expect(try await bench.call("GET", "stat:processed").integer == 3)
            #expect(try await bench.call("GET", "stat:failed:\(time.prefix(10))").integer == 1)
        }
    }
}

private struct NamedJob: Job {
    static let name = "Caf\u{E9}"

    func perform(_ arguments: NoArguments) async throws {}
}
