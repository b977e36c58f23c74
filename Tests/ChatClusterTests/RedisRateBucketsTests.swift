import ChatCore
import Logging
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// The script in a real Redis, against the same in memory.
@Suite struct RedisRateBucketsTests {
    private let creates = RateLimit("create", 120, per: 60, burst: 60)!
    private let seldom = RateLimit("auth", 1, per: 3600, burst: 3)!

    private func withBuckets(_ body: (RedisRateBuckets, RedisClient) async throws -> Void) async throws {
        let redis = RedisClient(
            try RedisConfiguration(url: try await SharedServers.freshRedisDatabase()), logger: TestCluster.logger)
        let running = Task { try await redis.run() }
        defer { running.cancel() }
        try await redis.waitUntilConnected(timeout: .seconds(20))
        try await body(RedisRateBuckets(redis: redis, prefix: "luciq:test:limit:"), redis)
    }

    /// The script tells the time at which it decided: the model decides at the same.
    @Test(arguments: 1...4)
    func itDecidesAsTheOneInMemory(_ seed: UInt64) async throws {
        try await withBuckets { buckets, _ in
            var random = SeededRandom(seed: seed)
            var model = RateBuckets<String>()
            let limits = try [
                #require(RateLimit("a", 100, per: 1, burst: 5)), #require(RateLimit("b", 7, per: 1, burst: 2)), creates,
                seldom,
            ]
            var (allowed, refused) = (0, 0)
            for _ in 0..<400 {
                let keys = limits.indices.shuffled(using: &random).prefix(Int.random(in: 1...3, using: &random))
                let charges = keys.map { index in
                    RateCharge("k\(index)", limits[index], cost: Int64.random(in: 1...2, using: &random))
                }
                if Int.random(in: 0..<4, using: &random) == 0 {
                    // Give back what was just taken, so that the model's time for both is the same but for a round trip.
                    let answer = try await buckets.answers(to: [charges])[0]
                    #expect(answer.decision == model.take(charges, at: answer.now))
                    guard answer.decision.isAllowed else { continue }
                    try await buckets.giveBack(charges)
                    let after = try await buckets.answers(to: [charges])[0]
                    model.giveBack(charges, at: answer.now)
                    #expect(after.decision == model.take(charges, at: after.now))
                    continue
                }
                let answer = try await buckets.answers(to: [charges])[0]
                #expect(answer.decision == model.take(charges, at: answer.now))
                if answer.decision.isAllowed { allowed += 1 } else { refused += 1 }
            }
            #expect(allowed > 20 && refused > 20)
        }
    }

    /// The requests of one script see what those before them have taken.
    @Test(arguments: 1...4)
    func severalAtOnceAreDecidedOneAfterAnother(_ seed: UInt64) async throws {
        try await withBuckets { buckets, _ in
            var random = SeededRandom(seed: seed)
            var model = RateBuckets<String>()
            let limits = try [#require(RateLimit("a", 100, per: 1, burst: 5)), creates, seldom]
            var (allowed, refused) = (0, 0)
            for _ in 0..<60 {
                let requests = (1...Int.random(in: 1...20, using: &random)).map { _ in
                    limits.indices.shuffled(using: &random).prefix(Int.random(in: 1...2, using: &random)).map { index in
                        RateCharge("k\(index)", limits[index], cost: Int64.random(in: 1...2, using: &random))
                    }
                }
                for (charges, answer) in zip(requests, try await buckets.answers(to: requests)) {
                    #expect(answer.decision == model.take(charges, at: answer.now))
                    if answer.decision.isAllowed { allowed += 1 } else { refused += 1 }
                }
            }
            #expect(allowed > 20 && refused > 20)
        }
    }

    /// A unit each, whoever asks: two clients get together what the limit has.
    @Test func processesShareABucket() async throws {
        let url = try await SharedServers.freshRedisDatabase()
        let clients = try (0..<2).map { _ in
            RedisClient(try RedisConfiguration(url: url), logger: TestCluster.logger)
        }
        let running = clients.map { client in Task { try await client.run() } }
        defer { for task in running { task.cancel() } }
        for client in clients { try await client.waitUntilConnected(timeout: .seconds(20)) }
        let limit = try #require(RateLimit("create", 1, per: 3600, burst: 100))
        let allowed = try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<300 {
                let buckets = RedisRateBuckets(redis: clients[index % 2], prefix: "luciq:test:limit:")
                group.addTask { try await buckets.take([RateCharge("u1", limit)]).isAllowed }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(allowed == 100)
    }

    @Test func aRequestTakesFromAllBucketsOrFromNone() async throws {
        try await withBuckets { buckets, _ in
            let small = try #require(RateLimit("application-auth", 1, per: 3600, burst: 1))
            let charges = [RateCharge("u1", seldom), RateCharge("a1", small)]
            #expect(try await buckets.take(charges).isAllowed)
            let refused = try await buckets.take(charges)
            #expect(refused.exceeded == [small])
            #expect(try await buckets.take([RateCharge("u1", seldom)]).standings[0].remaining == 1)
        }
    }

    @Test func aBucketLivesUntilItIsFull() async throws {
        try await withBuckets { buckets, redis in
            _ = try await buckets.take([RateCharge("u1", seldom), RateCharge("u2", seldom, cost: 2)])
            for (key, hours) in [("u1", 1), ("u2", 2)] {
                let milliseconds =
                    try await redis.send(RedisCommand("PTTL", "luciq:test:limit:auth:\(key)")).integer ?? 0
                #expect((1...Int64(hours) * 3_600_000).contains(milliseconds))
                #expect(milliseconds > Int64(hours) * 3_600_000 - 60_000)
            }
            try await buckets.giveBack([RateCharge("u1", seldom), RateCharge("u2", seldom)])
            #expect(try await redis.send(RedisCommand("EXISTS", "luciq:test:limit:auth:u1")) == .integer(0))
            let left = try await redis.send(RedisCommand("PTTL", "luciq:test:limit:auth:u2")).integer ?? 0
            #expect((3_540_000...3_600_000).contains(left))
            // Never more than the burst.
            try await buckets.giveBack([RateCharge("u2", seldom), RateCharge("u3", seldom)])
            try await buckets.giveBack([RateCharge("u2", seldom)])
            #expect(try await redis.send(RedisCommand("DBSIZE")) == .integer(0))
        }
    }

    /// Whatever others have written there, the answer is one that the limit can have, and the next is right again.
    @Test(arguments: [
        "", "nonsense", "nan", "-nan", "inf", "-inf", "1e300", "-1", "0", "9223372036854775807", "0x7fffffffffffffff",
    ])
    func aForeignValueLocksNobodyOut(_ value: String) async throws {
        try await withBuckets { buckets, redis in
            let key = "luciq:test:limit:auth:u1"
            _ = try await redis.send(RedisCommand("SET", key, value))
            let decision = try await buckets.take([RateCharge("u1", seldom)])
            #expect((0...2).contains(decision.standings[0].remaining))
            #expect((0...3600 * 1_000_000).contains(decision.standings[0].wait))
            // It is gone, or goes when the bucket is full, even if the request was refused.
            let milliseconds = try await redis.send(RedisCommand("PTTL", key)).integer ?? 0
            #expect((1...3 * 3_600_000).contains(milliseconds))
            #expect(try await redis.send(RedisCommand("GET", key)).string != value)
        }
    }

    /// A proxy, or something that is no Redis, may answer anything.
    @Test(
        arguments: [
            [], [1], [1, 1, 1], [-1, -1], [.min, .min], [.max, .max], [1 << 53, 1 << 53], [1, 0], [1, .min], [1, .max],
            [1, 10_800_000_002], [0, -1],
        ] as [[Int64]])
    func anAnswerOutOfRangeIsRefused(_ reply: [Int64]) {
        #expect(throws: RedisError.unusable(reason: "it answers a script with something else")) {
            try RedisRateBuckets.answers(reply, to: [[RateCharge("u1", seldom)]])
        }
    }

    @Test(arguments: [[0, 0], [1, 10_800_000_001], [(1 << 53) - 1, (1 << 53) - 1]] as [[Int64]])
    func anAnswerInRangeIsADecision(_ reply: [Int64]) throws {
        _ = try RedisRateBuckets.answers(reply, to: [[RateCharge("u1", seldom, cost: 3)]])
    }

    @Test func aKeyOfAnotherTypeIsReplaced() async throws {
        try await withBuckets { buckets, redis in
            _ = try await redis.send(RedisCommand("LPUSH", "luciq:test:limit:auth:u1", "x"))
            #expect(try await buckets.take([RateCharge("u1", seldom)]).standings[0].remaining == 2)
            #expect(try await buckets.take([RateCharge("u1", seldom)]).standings[0].remaining == 1)
        }
    }
}
