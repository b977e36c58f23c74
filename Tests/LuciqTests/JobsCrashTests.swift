import Foundation
import TestSupport
import Testing

/// A job may run twice, but runs at least once: worker processes (`JobsTestWorker`) are killed over and over.
@Suite(.serialized, .timeLimit(.minutes(5))) struct JobsCrashTests {
    private static let jobs = 10_000
    private static let kills = 50

    /// What may happen to Redis meanwhile.
    enum Trouble: CaseIterable {
        case none
        /// Redis keeps what it has acknowledged: it is killed, and reads its log again.
        case restarts
    }

    @Test(arguments: Trouble.allCases)
    func nothingIsLost(_ trouble: Trouble) async throws {
        // Written before the answer, and the kernel survives. `everysec` may write 2 s later when the disk is busy.
        let redis = try await RedisServer.start(["--appendonly", "yes", "--appendfsync", "no"])
        let folder = try TemporaryFolder()
        var workers: [ServerProcess] = []
        for index in 0..<3 { workers.append(try JobsTestWorker.start(on: redis, in: folder, index)) }
        for round in 0..<Self.kills {
            try await redis.pushCountingJobs(Self.jobs / Self.kills, from: round * Self.jobs / Self.kills)
            try await Task.sleep(for: .milliseconds(.random(in: 20...400)))
            let victim = Int.random(in: workers.indices)
            workers[victim].kill()
            workers[victim] = try JobsTestWorker.start(on: redis, in: folder, 3 + round)
            if trouble == .restarts, round % 20 == 10 {
                redis.kill()
                try await redis.restart(empty: false)
            }
        }
        // Jobs are rescued no later than 90 s after the last death, and then run. Jobs that failed while Redis was down
        // are retried within 66 s.
        do {
            try await eventually("all are performed", within: 120) {
                try await redis.cli("SCARD", "done") == "\(Self.jobs)"
            }
        } catch {
            Issue.record("\(error) \(try await whereTheyAre(redis))")
            throw error
        }
        try await eventually("none is anywhere", within: 60) {
            for key in ["LLEN queue:default", "ZCARD retry", "ZCARD schedule", "ZCARD dead"] {
                let parts = key.split(separator: " ").map(String.init)
                guard try await redis.cli(parts[0], parts[1]) == "0" else { return false }
            }
            return try await redis.cli("--scan", "--pattern", "luciq:held:*").isEmpty
        }
        #expect(Int(try await redis.cli("GET", "performed")) ?? 0 >= Self.jobs)
        for worker in workers {
            await worker.stop()
            #expect(worker.exitCode == 0, "\(worker.output.suffix(2000))")
        }
        #expect(try await redis.cli("SCARD", "luciq:holders") == "0")
    }

    /// What there is of jobs in Redis, for the message of a failure.
    private func whereTheyAre(_ redis: RedisServer) async throws -> String {
        var lines: [String] = []
        for command in ["SCARD done", "LLEN queue:default", "ZCARD retry", "ZCARD dead", "SMEMBERS luciq:holders"] {
            let words = command.split(separator: " ").map(String.init)
            lines.append("\(command): \(try await redis.cli(words[0], words[1]))")
        }
        for key in try await redis.cli("--scan", "--pattern", "luciq:held:*").split(separator: "\n") {
            lines.append("\(key): \(try await redis.cli("LLEN", String(key)))")
        }
        return lines.joined(separator: "\n")
    }

    /// Every process has the schedule; exactly one of them enqueues each tick, once.
    @Test func aTickIsPerformedOnce() async throws {
        let redis = try await RedisServer.start()
        let folder = try TemporaryFolder()
        var workers: [ServerProcess] = []
        for index in 0..<10 {
            workers.append(try JobsTestWorker.start(on: redis, in: folder, index, cron: "* * * * *"))
        }
        // By the second tick every process has looked at the first.
        try await eventually("two ticks are performed", within: 180) { try await redis.cli("HLEN", "ticks") == "2" }
        for worker in workers { await worker.stop() }
        #expect(try await redis.cli("HVALS", "ticks") == "1\n1")
        #expect(try await redis.cli("LLEN", "queue:default") == "0")
    }
}

/// The package's executable of that name.
enum JobsTestWorker {
    /// - Parameter index: another for each of a folder.
    static func start(
        on redis: RedisServer, in folder: TemporaryFolder, _ index: Int, milliseconds: Int = 5,
        cron: String? = nil
    ) throws -> ServerProcess {
        try ServerProcess(
            [LuciqProcess.product("JobsTestWorker").path, redis.url(), "10", "\(milliseconds)"]
                + (cron.map { [$0] } ?? []),
            log: folder.file("worker-\(index).log"))
    }
}

extension RedisServer {
    /// Enqueues what Ruby's client would.
    fileprivate func pushCountingJobs(_ count: Int, from first: Int) async throws {
        _ = try await cli(
            "EVAL",
            """
            redis.call('SADD', 'queues', 'default')
            for number = tonumber(ARGV[1]), ARGV[1] + ARGV[2] - 1 do
                redis.call('LPUSH', 'queue:default', cjson.encode({
                    class = 'CountingJob', args = {number}, jid = string.format('%024x', number), queue = 'default',
                    retry = true, created_at = 1795366664000, enqueued_at = 1795366664000
                }))
            end
            """, "0", "\(first)", "\(count)")
    }
}
