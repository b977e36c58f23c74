import Logging
import NIOCore
import NIOPosix
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// Limits over processes that share a Redis, and what they do when it is slow or gone.
@Suite(.timeLimit(.minutes(2))) struct ClusterRateBucketsTests {
    private let principal = Principal.pathToken(.random())

    /// What one process has.
    private struct Process: Sendable {
        let redis: RedisClient
        let buckets: ClusterRateBuckets
        let limiter: Limiter
    }

    /// Runs `body` with two processes that know of each other, and of a limit whose units come back too slowly to be seen.
    private func withProcesses(
        burst: Int64, _ body: (RedisServer, [Process], [RateCharge<String>]) async throws -> Void
    ) async throws {
        let server = try await RedisServer.start()
        var defaults = LimitDefaults()
        defaults.limits.application[.create] = Allowance(.application, .create, perMinute: 1, burst: burst)
        let processes = try (0..<2).map { _ in
            let redis = RedisClient(try RedisConfiguration(url: server.url()), logger: TestCluster.logger)
            let buckets = ClusterRateBuckets(
                redis: redis, deployment: "test", group: MultiThreadedEventLoopGroup.singleton,
                // Longer than a test may take.
                pause: .hours(1), logger: TestCluster.logger)
            return Process(
                redis: redis, buckets: buckets,
                limiter: Limiter(defaults, shared: buckets, time: .continuous))
        }
        let running = processes.map { process in Task { try await process.redis.run() } }
        defer { for task in running { task.cancel() } }
        for process in processes { try await process.redis.waitUntilConnected(timeout: .seconds(20)) }
        // The first learns of the second when it looks again.
        for process in processes + processes { #expect(await process.buckets.look()) }
        #expect(processes.map(\.buckets.processes) == [2, 2])
        let charges = processes[0].limiter.charges(principal, in: Tenant.ID(1), nil, .create)
        try await body(server, processes, charges)
        await server.stop()
    }

    private func take(_ count: Int, from processes: [Process], _ charges: [RateCharge<String>]) async throws -> Int {
        var given = 0
        for turn in 0..<count {
            do {
                _ = try await processes[turn % processes.count].limiter.take(charges)
                given += 1
            } catch {
                guard case .quotaExceeded = error else { throw error }
            }
        }
        return given
    }

    @Test func twoProcessesHoldALimit() async throws {
        try await withProcesses(burst: 100) { _, processes, charges in
            let given = try await take(300, from: processes, charges)
            #expect(given == 100)
            // What is given back is there for the next request, of whichever process.
            let units = try? await processes[0].limiter.take(charges)
            #expect(units == nil)
            processes[0].limiter.giveBack(charges, paying: [])
            let again = try await take(4, from: [processes[0]], charges)
            #expect(again == 1)
        }
    }

    /// Each request gets an answer, and the answers together what the limit has.
    @Test func manyAtOnceShareScripts() async throws {
        try await withProcesses(burst: 100) { _, processes, charges in
            let given = await withTaskGroup(of: Bool.self) { group in
                for turn in 0..<1000 {
                    group.addTask { await processes[turn % 2].buckets.take(charges)?.isAllowed == true }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(given == 100)
        }
    }

    /// In the middle of the load. Together they give what the limit has, each half of the rest.
    @Test func aRedisThatDiesGivesNoBurstMore() async throws {
        try await withProcesses(burst: 200) { server, processes, charges in
            var given = try await take(100, from: processes, charges)
            server.kill()
            given += try await take(400, from: processes, charges)
            #expect((190...210).contains(given), "\(given)")
            #expect(processes.map(\.buckets.processes) == [2, 2])
        }
    }

    /// It accepts commands and answers none: requests wait for a moment, and then no more.
    @Test func aRedisThatHangsDelaysNobodyForLong() async throws {
        try await withProcesses(burst: 200) { server, processes, charges in
            var given = try await take(100, from: processes, charges)
            server.freeze()
            // Those that wait behind others do not wait longer than those.
            await withTaskGroup(of: RateDecision?.self) { group in
                for _ in 0..<500 { group.addTask { await processes[0].buckets.take(charges) } }
                for await decision in group { #expect(decision == nil) }
            }
            #expect(!processes[0].buckets.isThere && processes[1].buckets.isThere)
            // Without waiting at all.
            #expect(try processes[0].limiter.takeNow(charges) != nil)
            given += 1
            given += try await take(400, from: processes, charges)
            #expect((190...250).contains(given), "\(given)")
            server.thaw()
        }
    }

    /// Whatever answers for Redis.
    @Test func aRedisThatRefusesScriptsFailsNoRequest() async throws {
        try await withProcesses(burst: 10) { server, processes, charges in
            _ = try await server.cli("ACL", "SETUSER", "default", "-eval", "-evalsha")
            let given = try await take(40, from: processes, charges)
            #expect(given == 10)
        }
    }
}
