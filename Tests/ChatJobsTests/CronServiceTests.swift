import ChatCore
import ChatJobs
import RedisClient
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct CronServiceTests {
    @Test func itLooksAtEachIntervalUntilShutdown() async throws {
        try await withCronBench { bench in
            let hands = TestClock()
            let scheduler = try bench.scheduler(time: Timekeeper(hands))
            let group = ServiceGroup(services: [scheduler], logger: bench.log.logger)
            let hasEnded = Mutex(false)
            let running = Task {
                defer { hasEnded.withLock { $0 = true } }
                try await group.run()
            }
            try await hands.waitForSleepers(1)
            for hour in 11...13 {
                try bench.at("2026-11-23T\(hour):00:03Z")
                hands.advance(by: .seconds(10))
                try await hands.waitForSleepers(1)
                #expect(try await bench.queued() == hour - 10)
            }
            await group.triggerGracefulShutdown()
            // This clock does not wake cancelled tasks.
            try await eventually("it ends") {
                hands.advance(by: .seconds(10))
                return hasEnded.withLock(\.self)
            }
            try await running.value
            #expect(try await bench.queued() == 3)
        }
    }

    @Test func anOutageIsLoggedOnceAndLosesNoTick() async throws {
        let server = try await RedisServer.start(["--appendonly", "yes", "--appendfsync", "always"])
        try await withCronBench(url: server.url()) { bench in
            let hands = TestClock()
            let scheduler = try bench.scheduler(time: Timekeeper(hands))
            let running = Task { try await scheduler.run() }
            defer { running.cancel() }
            try await hands.waitForSleepers(1)
            server.kill()
            try await eventually("the client knows") { !bench.redis.isConnected }
            try bench.at("2026-11-23T11:00:03Z")
            for _ in 0..<3 {
                hands.advance(by: .seconds(10))
                try await hands.waitForSleepers(1)
            }
            #expect(bench.log.warnings.count == 1)
            try await server.restart(empty: false)
            try await bench.redis.waitUntilConnected(timeout: .seconds(20))
            hands.advance(by: .seconds(10))
            try await hands.waitForSleepers(1)
            #expect(try await bench.queued() == 1)
            running.cancel()
            hands.advance(by: .seconds(10))
            try await running.value
        }
    }
}
