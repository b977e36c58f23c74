import ChatCore
import ChatJobs
import Logging
import RedisClient
import Synchronization
import TestSupport
import Testing

/// Each test has its own Redis, to break it. Whatever happens, every job runs, and few run twice.
@Suite(.timeLimit(.minutes(5))) struct OutageTests {
    private static let jobs = 3000

    /// Two workers on many jobs of which every fifth fails once, while `trouble` is made.
    private func work(
        _ server: RedisServer, while trouble: (WorkBench, Tally) async throws -> Void
    ) async throws {
        try await withWorkBench(server.url()) { bench in
            let (performed, failed) = (Tally(), Tally())
            let job = NumberJob { number in
                try await Task.sleep(for: .milliseconds(3))
                if number.isMultiple(of: 5), failed.count(number) == 0 {
                    failed.add(number)
                    throw Broken()
                }
                performed.add(number)
            }
            try await bench.queue.enqueue(NumberJob.self, each: Array(0..<Self.jobs))
            try await withWorkBench(server.url()) { other in
                try await bench.withWorker([job]) { _ in
                    try await other.withWorker([job]) { _ in
                        try await trouble(bench, performed)
                        try await eventually("what failed is scheduled or performed", within: 60) {
                            // Those that were to be tried again are due now.
                            for entry in (try? await bench.sets.list(.retry, limit: 1000)) ?? [] {
                                _ = try? await bench.sets.requeue(entry)
                            }
                            return performed.distinct == Self.jobs
                        }
                        try await eventually("all is acknowledged") { try await bench.held() == 0 }
                    }
                }
            }
            #expect(performed.distinct == Self.jobs)
            #expect(try await bench.length("queue:default") == 0)
            #expect(try await bench.sets.size(of: .dead) == 0)
            #expect(try await bench.call("SCARD", "luciq:holders").integer == 0)
            #expect(performed.all.count < Self.jobs + 200)
        }
    }

    @Test func connectionsAreCutTimeAndAgain() async throws {
        let server = try await RedisServer.start()
        try await work(server) { _, performed in
            // Sooner than a connection gets going, and later.
            for pause in [20, 200, 60, 500, 20, 20, 1200, 300, 100, 700] where performed.distinct < Self.jobs {
                _ = try await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                try await Task.sleep(for: .milliseconds(pause))
            }
        }
    }

    @Test func redisRestartsWithItsData() async throws {
        let server = try await RedisServer.start(["--appendonly", "yes", "--appendfsync", "always"])
        try await work(server) { _, performed in
            for part in 1...3 {
                try await eventually("some are performed") { performed.distinct > Self.jobs * part / 5 }
                server.kill()
                try await server.restart(empty: false)
            }
        }
    }

    @Test func redisFreezes() async throws {
        let server = try await RedisServer.start()
        try await work(server) { _, performed in
            for part in 1...2 {
                try await eventually("some are performed") { performed.distinct > Self.jobs * part / 5 }
                server.freeze()
                // Longer than a command may take: commands that were sent have an unknown outcome, and Redis carries
                // them out when it wakes.
                try await Task.sleep(for: .milliseconds(1500))
                server.thaw()
            }
        }
    }

    /// Redis can be read but not written: one log line when that begins and one when it ends, and then the work
    /// continues.
    @Test(arguments: [
        (["CONFIG", "SET", "min-replicas-to-write", "1"], ["CONFIG", "SET", "min-replicas-to-write", "0"]),
        (["ACL", "SETUSER", "default", "-lmove"], ["ACL", "SETUSER", "default", "+lmove"]),
        (["ACL", "SETUSER", "default", "-evalsha", "-eval"], ["ACL", "SETUSER", "default", "+evalsha", "+eval"]),
    ])
    func refusalsAreLoggedOnce(_ trouble: [String], _ end: [String]) async throws {
        let server = try await RedisServer.start()
        try await withWorkBench(server.url()) { bench in
            let (log, performed) = (OutageLog(), Tally())
            try await bench.withWorker([NumberJob { performed.add($0) }], logger: log.logger) { _ in
                try await bench.queue.enqueue(NumberJob.self, 1)
                try await eventually("it works") { performed.distinct == 1 }
                _ = try await server.cli(trouble[0], trouble[1], trouble[2], trouble[3])
                try await eventually("it is logged") { log.count("Redis unavailable: jobs paused") == 1 }
                // Enough for every part of the worker to meet it, and many times.
                try await Task.sleep(for: .seconds(2))
                #expect(log.lines.count(where: { $0.contains("Redis") }) == 1, "\(log.lines)")
                _ = try await server.cli(end[0], end[1], end[2], end[3])
                try await eventually("its end is logged") { log.count("Redis available again: jobs resumed") == 1 }
                try await bench.queue.enqueue(NumberJob.self, 2)
                try await eventually("it works again") { performed.distinct == 2 }
                #expect(log.count("Redis unavailable: jobs paused") == 1)
            }
        }
    }

    @Test func redisIsFull() async throws {
        let server = try await RedisServer.start()
        try await work(server) { _, performed in
            _ = try await server.cli("CONFIG", "SET", "maxmemory", "1")
            try await eventually("it is emptied all the same") { performed.distinct > Self.jobs / 2 }
            _ = try await server.cli("CONFIG", "SET", "maxmemory", "0")
        }
    }

    /// Redis is down when the worker has to end: it ends anyway, and another worker finds the jobs it held.
    @Test func theEndComesDuringAnOutage() async throws {
        let server = try await RedisServer.start(["--appendonly", "yes", "--appendfsync", "always"])
        try await withWorkBench(server.url()) { bench in
            let (started, performed) = (Tally(), Tally())
            let job = NumberJob { number in
                started.add(number)
                if performed.distinct == 0 { try await Task.sleep(for: .milliseconds(300)) }
            }
            try await bench.queue.enqueue(NumberJob.self, each: [1, 2, 3])
            try await bench.withWorker(
                [job],
                {
                    $0.shutdownTimeout = .milliseconds(500)
                    $0.intervals.lastGrace = .milliseconds(100)
                    $0.intervals.presence = .milliseconds(500)
                }
            ) { _ in
                try await eventually("all have started") { started.distinct == 3 }
                server.kill()
            }
            try await server.restart(empty: false)
            try await bench.redis.waitUntilConnected(timeout: .seconds(20))
            #expect(try await bench.held() == 3)
            try await bench.withWorker([NumberJob { performed.add($0) }]) { _ in
                try await eventually("they are performed") { performed.distinct == 3 }
            }
            #expect(try await bench.held() == 0)
        }
    }
}

/// What a worker logs at info and above.
private final class OutageLog: Sendable {
    private let messages = Mutex<[String]>([])

    var lines: [String] { messages.withLock(\.self) }
    var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }

    func count(_ message: String) -> Int { lines.count { $0 == message } }

    private struct Handler: LogHandler {
        let log: OutageLog
        var logLevel = Logger.Level.info
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { log.messages.withLock { $0.append("\(event.message)") } }
    }
}
