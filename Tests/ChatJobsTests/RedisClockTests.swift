import ChatCore
import RedisClient
import Synchronization
import TestSupport
import Testing

@testable import ChatJobs

/// Which of three clocks is trusted: Redis', the machine's, or the monotonic one.
@Suite(.timeLimit(.minutes(2))) struct RedisClockTests {
    private static let day = Duration.seconds(86_400)

    /// The three, as a test sets them.
    private final class Clocks: Sendable {
        let redis: HandClock
        let system: HandClock
        let steady = Mutex(Duration.zero)
        let log = CronLog()
        let start: Timestamp

        init(systemIsAhead ahead: Duration = .zero) throws {
            start = try Timestamp(utc: "2026-11-23T10:00:00Z")
            (redis, system) = (HandClock(start), HandClock(start.adding(ahead)))
        }

        var clock: RedisClock {
            let steady = Timekeeper(now: { self.steady.withLock(\.self) })
            return RedisClock(system: system.wall, time: steady, logger: log.logger) { self.redis.wall.now() }
        }

        func pass(_ time: Duration) {
            redis.set(redis.wall.now().adding(time))
            system.set(system.wall.now().adding(time))
            steady.withLock { $0 += time }
        }
    }

    @Test(arguments: [day, .zero - day * 365])
    func aWrongMachineGoesByRedis(_ error: Duration) async throws {
        let clocks = try Clocks(systemIsAhead: error)
        let clock = clocks.clock
        try await clock.measure()
        #expect(clock.now() == clocks.start)
        clocks.pass(.seconds(10))
        #expect(clock.now() == clocks.start.adding(.seconds(10)))
        try await clock.measure()
        #expect(clocks.log.warnings.count == 1)
        #expect(clocks.log.warnings.first?.hasPrefix("This machine's clock is wrong") == true)
    }

    @Test func aJumpOfTheMachineMovesNothing() async throws {
        let clocks = try Clocks()
        let clock = clocks.clock
        try await clock.measure()
        clocks.system.set(clocks.start.adding(Self.day * 3))
        #expect(clock.now() == clocks.start)
        // Where the steady clock jumps as well, no further than a measurement is good for.
        clocks.steady.withLock { $0 += Self.day * 3 }
        #expect(clock.now() == clocks.start.adding(.seconds(60)))
        try await clock.measure()
        #expect(clock.now() == clocks.start)
        #expect(clocks.log.warnings.count == 1)
    }

    @Test func aJumpOfRedisIsNotFollowed() async throws {
        let clocks = try Clocks()
        let clock = clocks.clock
        try await clock.measure()
        clocks.redis.set(clocks.start.adding(Self.day))
        for _ in 1...3 {
            clocks.pass(.seconds(10))
            try await clock.measure()
        }
        #expect(clock.now() == clocks.start.adding(.seconds(30)))
        #expect(clocks.log.warnings.count == 1)
        #expect(clocks.log.warnings.first?.hasPrefix("Redis' clock is wrong") == true)
    }

    /// The whole worker with a clock that is days ahead, or a year back.
    @Test(arguments: [day * 3, .zero - day * 365])
    func aWorkerWithAWrongClockFiresAndTrimsWhatIsDue(_ error: Duration) async throws {
        try await withWorkBench { bench in
            let wrong = WallClock { WallClock.system.now().adding(error) }
            let clock = RedisClock(bench.redis, system: wrong, logger: silent)
            let tally = Tally()
            let now = WallClock.system.now()
            try await bench.queue.enqueue(NumberJob.self, 1, at: now.adding(.seconds(7200)))
            try await bench.queue.enqueue(NumberJob.self, 2, at: now.adding(.seconds(-7200)))
            // Would be trimmed by a clock that is three days ahead.
            let score = String(now.adding(.zero - Self.day * 179).seconds)
            try await bench.call("ZADD", "dead", score, "{\"class\":\"Old\",\"args\":[]}")
            try await bench.withWorker([NumberJob { tally.add($0) }], clock: clock) { worker in
                try await eventually("what is due is performed") { tally.all == [2] }
                try await bench.push("[]")
                #expect(try await bench.entries(.dead, 2).count == 2)
                let beat = try await bench.call("HGET", worker.identity, "beat").string.flatMap(Double.init)
                #expect(abs((beat ?? 0) - now.seconds) < 3600)
                let startedAt = try await bench.sets.processes().first?.startedAt
                #expect(abs((startedAt ?? now.adding(Self.day)).seconds - now.seconds) < 3600)
            }
            #expect(try await bench.sets.size(of: .schedule) == 1)
            #expect(tally.all == [2])
        }
    }
}

extension Timekeeper {
    /// Nobody sleeps.
    fileprivate init(now: @escaping @Sendable () -> Duration) {
        self.init(now: now, sleep: { _ in })
    }
}
