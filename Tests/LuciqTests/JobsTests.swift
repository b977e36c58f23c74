import ChatCore
import Foundation
import TestSupport
import Testing

@testable import luciq

/// `luciq jobs …`
@Suite(.timeLimit(.minutes(3))) struct JobsTests {
    @Test func listShowsWhatTheClockStarts() async throws {
        let place = try await WorkerPlace.make()
        let none = try await place.luciq("jobs", "list")
        #expect(none.code == 0)
        #expect(none.output.hasPrefix("The clock starts no job yet"))
        let (worker, _) = try await place.worker()
        var list: [[String: Any]] = []
        try await eventually("the five are there") {
            list = try await place.json("jobs", "list") as? [[String: Any]] ?? []
            return list.count == 5
        }
        let sync = try #require(list.first { $0["job"] as? String == "SyncChatCounts" })
        #expect(sync["cron"] as? String == "* * * * *")
        #expect(sync["queue"] as? String == "default")
        #expect(sync["status"] as? String == "enabled")
        let next = try #require((sync["nextRun"] as? String).flatMap(Timestamp.init(rfc3339:)))
        #expect(next > WallClock.system.now().adding(.seconds(-5)))
        #expect(next < WallClock.system.now().adding(.seconds(65)))
        let text = try await place.luciq("jobs", "list").output
        for name in ["Reconcile", "ExpireIdempotencyKeys", "17 3 * * *"] {
            #expect(text.contains(name))
        }
        let known = try await place.luciq("jobs", "enqueue", "NoSuchJob").errors
        for job in list { #expect(known.contains(job["job"] as? String ?? "?"), "it can be enqueued too") }
        worker.signal(SIGTERM)
        #expect(await worker.wait().code == 0)
    }

    @Test func enqueueTakesAJobAndATime() async throws {
        let place = try await WorkerPlace.make()
        let now = try await place.luciq("jobs", "enqueue", "Reconcile")
        #expect(now.code == 0)
        #expect(now.output.wholeMatch(of: /[0-9a-f]{24}\n/) != nil, "\(now.output)")
        #expect(try await place.redis("LLEN", "queue:default") == "1")
        #expect(
            try await place.luciq("jobs", "enqueue", "Reconcile", "--queue", "low", "--in", "5m").code
                == 0)
        #expect(
            try await place.luciq("jobs", "enqueue", "Reconcile", "--at", "2099-01-01T00:00:00Z").code
                == 0)
        let scores = try await place.redis("ZRANGE", "schedule", "0", "-1", "WITHSCORES").split(
            separator: "\n")
        #expect(scores.count == 4)
        #expect(scores.last == "4070908800")
        #expect(scores[0].contains(#""queue":"low""#))

        let other = try await place.luciq(
            "jobs", "enqueue", "HardJob", #"[1.0,"two",{"a":null}]"#, "--unknown")
        #expect(other.code == 0)
        #expect(
            try await place.redis("LINDEX", "queue:default", "0").contains(
                #""args":[1.0,"two",{"a":null}]"#))
    }

    @Test(arguments: [
        (["enqueue", "NoSuchJob"], 1, "There is no job NoSuchJob here, only SyncChatCounts, "),
        (["enqueue", "Recount", "{}"], 64, "The arguments must be one JSON array"),
        (["enqueue", "Recount", "[1"], 64, "The arguments must be one JSON array"),
        (["enqueue", "Recount", "--in", "5"], 64, "--in must be a number and s, m, h or d"),
        (["enqueue", "Recount", "--at", "tomorrow"], 64, "--at must be a time such as"),
        (
            ["enqueue", "Recount", "--at", "2026-01-01T00:00:00Z", "--in", "5m"], 64,
            "--in and --at do not go together"
        ),
        (
            ["retry", "0123456789abcdef01234567"], 1,
            "No job 0123456789abcdef01234567 waits to be tried again."
        ),
        (["retry"], 64, "Say which job"),
        (["retry", "x", "--all"], 64, "Say which job"),
        (["kill", "x"], 1, "No job x waits"),
        (["dead", "--retry", "x"], 1, "No job x is among the dead."),
        (["dead", "--limit", "0"], 64, "--limit must be"),
    ])
    func mistakesAreOneSentence(_ arguments: [String], _ code: Int32, _ sentence: String) async throws {
        let folder = try TemporaryFolder()
        let redis = try await SharedServers.freshRedisDatabase()
        let result = try await LuciqProcess.run(
            ["jobs"] + arguments, in: folder, environment: ["REDIS_URL": redis])
        #expect(result.code == code, "\(result.errors)")
        #expect(result.errors.hasPrefix("luciq: \(sentence)"), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(result.output.isEmpty)
    }

    @Test func noRedisIsUnavailable() async throws {
        let folder = try TemporaryFolder()
        let url = "redis://:hunter2@127.0.0.1:\(try FreePort.any())/0"
        for command in [
            ["stats"], ["list"], ["dead"], ["enqueue", "Recount"], ["retry", "--all"], ["kill", "x"],
        ] {
            let result = try await LuciqProcess.run(
                ["jobs"] + command, in: folder, environment: ["REDIS_URL": url])
            #expect(result.code == 69)
            #expect(result.errors.hasPrefix("luciq: Redis is unavailable: "), "\(result.errors)")
            #expect(!result.errors.contains("hunter2"))
        }
        // Redis is there and denies access.
        let server = try await RedisServer.start(["--requirepass", "right"])
        let wrong = try await LuciqProcess.run(
            ["jobs", "stats"], in: folder, environment: ["REDIS_URL": server.url()])
        #expect(wrong.code == 78)
    }

    /// A job of an unknown class fails; it is killed and requeued, and found at each step.
    @Test func aFailedJobIsKilledAndRetried() async throws {
        let place = try await WorkerPlace.make()
        let (worker, _) = try await place.worker()
        let enqueued =
            try await place.json("jobs", "enqueue", "HardJob", "[1]", "--unknown") as? [String: Any]
        let jid = try #require(enqueued?["jid"] as? String)
        func waits() async throws {
            try await eventually("it waits to be tried again") {
                try await place.stats()["retries"] as? Int == 1
            }
        }
        try await waits()
        #expect(
            try await place.luciq("jobs", "retry", jid).output.contains(
                "HardJob \(jid) is in the queue default again."))
        try await waits()
        let all = try await place.json("jobs", "retry", "--all") as? [String: Int]
        #expect(all == ["requeued": 1])
        try await waits()
        #expect(try await place.luciq("jobs", "kill", jid).code == 0)
        let text = try await place.luciq("jobs", "dead").output
        #expect(text.contains(jid) && text.contains("NameError"), "\(text)")
        let dead = try await place.json("jobs", "dead") as? [[String: Any]]
        #expect(dead?.first?["jid"] as? String == jid)
        #expect(dead?.first?["arguments"] as? String == "[1]")
        #expect(try await place.luciq("jobs", "dead", "--retry", jid).code == 0)
        try await waits()
        #expect(try await place.luciq("jobs", "kill", jid).code == 0)
        #expect(try await place.json("jobs", "dead", "--clear") as? [String: Int] == ["forgotten": 1])
        #expect(try await place.luciq("jobs", "dead").output == "No job is dead.\n")
        worker.signal(SIGTERM)
        #expect(await worker.wait().code == 0)
    }

    /// The queue of one of our jobs if no queue was given.
    @Test func enqueueGoesWhereTheWorkerTakesIt() async throws {
        let place = try await WorkerPlace.make()
        let (worker, _) = try await place.worker(["--queue", "ours", "--queue", "default"])
        try await eventually("it is there") { try await place.redis("SCARD", "processes") == "1" }
        let processed = { try await place.stats()["processed"] as? Int ?? 0 }
        let before = try await processed()
        let jid = try await place.luciq("jobs", "enqueue", "Reconcile", "--in", "1h").output
        #expect(try await place.redis("ZRANGE", "schedule", "0", "-1").contains(#""queue":"ours""#))
        #expect(jid.count == 25)
        // What the Rails application enqueues, with one argument.
        #expect(
            try await place.luciq("jobs", "enqueue", "ChatMessagesSyncWorker", "[42]").code == 0)
        try await eventually("it is performed") { try await processed() > before }
        #expect(try await place.stats()["failed"] as? Int == 0)
        worker.signal(SIGTERM)
        #expect(await worker.wait().code == 0)
        // No worker is alive: the cron jobs name the queue.
        #expect(try await place.luciq("jobs", "enqueue", "Recount").code == 0)
        #expect(try await place.redis("LLEN", "queue:ours") != "0")
        // None of our queues has the other system's job.
        #expect(try await place.luciq("jobs", "enqueue", "HardJob", "--unknown").code == 0)
        #expect(try await place.redis("LINDEX", "queue:default", "0").contains("HardJob"))
    }

    @Test func oneDeadJobIsForgotten() async throws {
        let place = try await WorkerPlace.make()
        for (score, entry) in [("1", "no job"), ("2", "[]"), ("3", #"{"class":"A","args":[],"jid":"abc"}"#)] {
            _ = try await place.redis("ZADD", "dead", score, entry)
        }
        let dead = try await place.json("jobs", "dead") as? [[String: Any]] ?? []
        let ids = dead.compactMap { $0["jid"] as? String }
        #expect(ids.count == 3 && ids[0] == "abc")
        for id in ids {
            #expect(try await place.json("jobs", "dead", "--remove", id) as? [String: Int] == ["forgotten": 1])
        }
        #expect(try await place.luciq("jobs", "dead").output == "No job is dead.\n")
        #expect(try await place.luciq("jobs", "dead", "--remove", "abc").code == 1)
    }

    @Test func theDeadSetHasTheLimitsThatAreSet() async throws {
        let place = try await WorkerPlace.make()
        for number in 1...5 {
            _ = try await place.redis(
                "ZADD", "retry", "\(4_000_000_000 + number)", #"{"class":"A","args":[],"jid":"a\#(number)"}"#)
        }
        for number in 1...5 {
            #expect(try await place.luciq("jobs", "kill", "a\(number)", "--dead-max-jobs", "3").code == 0)
        }
        #expect(try await place.stats()["dead"] as? Int == 3)
    }

    @Test func statsFitATerminal() async throws {
        let place = try await WorkerPlace.make()
        let (worker, _) = try await place.worker(["--tag", String(repeating: "long", count: 30)])
        try await eventually("it is there") { try await place.redis("SCARD", "processes") == "1" }
        let terminal = try PseudoTerminal(columns: 80)
        let process = try LuciqProcess(
            ["jobs", "stats"], in: place.folder, environment: place.environment, terminal: terminal)
        #expect(await process.wait().code == 0)
        let lines = terminal.text.split(whereSeparator: \.isNewline)
        #expect(lines.contains { $0.hasPrefix("WORKER ") })
        for line in lines { #expect(line.count <= 80, "\(line)") }
        worker.signal(SIGTERM)
        #expect(await worker.wait().code == 0)
    }

    @Test func aTableIsCutAndObeyedByNoTerminal() {
        var table = Table("A", "LONG ONE")
        table.add("x\u{1b}[2J", String(repeating: "y", count: 100))
        let text = table.text(width: 40)
        #expect(!text.unicodeScalars.contains("\u{1b}"))
        for line in text.split(separator: "\n") { #expect(line.count <= 40) }
        #expect(text.contains("y…"))
        #expect(table.text(width: nil).contains(String(repeating: "y", count: 100)))
    }

    @Test(
        arguments: [
            ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400), ("0s", 0), ("", nil), ("5", nil),
            ("m", nil),
            ("-5m", nil), ("1w", nil), ("99999999999999d", nil), ("5 m", nil),
        ] as [(String, Int64?)])
    func periods(_ text: String, _ seconds: Int64?) {
        #expect(Moment.period(text) == seconds.map { .seconds($0) })
    }
}
