import TestSupport
import Testing

@testable import ChatCore

@Suite struct RateLimitTests {
    private let start: Int64 = 1_800_000_000_000_000
    private let second: Int64 = 1_000_000
    private let creates = RateLimit("create", 120, per: 60, burst: 60)!

    @Test func aBurstIsGivenAtOnceAndThenThePace() {
        var buckets = RateBuckets<String>()
        let charge = [RateCharge("u1", creates)]
        for used in 1...60 {
            let decision = buckets.take(charge, at: start)
            #expect(decision.isAllowed)
            #expect(
                decision.standings == [.init(limit: creates, remaining: Int64(60 - used), next: second / 2, wait: 0)])
        }
        let refused = buckets.take(charge, at: start)
        #expect(!refused.isAllowed)
        #expect(refused.exceeded == [creates])
        #expect(refused.standings == [.init(limit: creates, remaining: 0, next: second / 2, wait: second / 2)])
        #expect(!buckets.take(charge, at: start + second / 2 - 1).isAllowed)
        // A refusal costs nothing.
        #expect(buckets.take(charge, at: start + second / 2).isAllowed)
        #expect(!buckets.take(charge, at: start + second / 2).isAllowed)
        // Others are not affected.
        #expect(buckets.take([RateCharge("u2", creates)], at: start).isAllowed)
    }

    @Test func aFullBucketHoldsItsBurstHoweverLongItRests() {
        var buckets = RateBuckets<String>()
        for start in [start, start + 3600 * second] {
            var given = 0
            while buckets.take([RateCharge("u1", creates)], at: start).isAllowed { given += 1 }
            #expect(given == 60)
        }
    }

    @Test func aRequestMayCostMore() {
        var buckets = RateBuckets<String>()
        #expect(buckets.take([RateCharge("u1", creates, cost: 50)], at: start).standings[0].remaining == 10)
        let refused = buckets.take([RateCharge("u1", creates, cost: 11)], at: start)
        #expect(refused.standings == [.init(limit: creates, remaining: 10, next: second / 2, wait: second / 2)])
        #expect(buckets.take([RateCharge("u1", creates, cost: 10)], at: start).isAllowed)
        // More than a burst is payable: by all of it.
        #expect(buckets.take([RateCharge("u2", creates, cost: 1000)], at: start).standings[0].remaining == 0)
    }

    @Test func aRequestTakesFromAllBucketsOrFromNone() {
        var buckets = RateBuckets<String>()
        let small = RateLimit("application-create", 60, per: 60, burst: 2)!
        let charges = [RateCharge("u1", creates), RateCharge("a1", small)]
        #expect(buckets.take(charges, at: start).isAllowed)
        #expect(buckets.take(charges, at: start).standings.map(\.remaining) == [58, 0])
        let refused = buckets.take(charges, at: start)
        #expect(refused.exceeded == [small])
        #expect(refused.standings.map(\.remaining) == [58, 0])
        #expect(refused.standings.map(\.wait) == [0, second])
        #expect(buckets.take([RateCharge("u1", creates)], at: start).standings[0].remaining == 57)
    }

    @Test func unitsAreGivenBackButNeverMoreThanTheBurst() {
        var buckets = RateBuckets<String>()
        let charge = [RateCharge("u1", creates)]
        _ = buckets.take(charge, at: start)
        _ = buckets.take(charge, at: start)
        buckets.giveBack(charge, at: start)
        #expect(buckets.take(charge, at: start).standings[0].remaining == 58)
        for _ in 0..<10 { buckets.giveBack(charge, at: start) }
        #expect(buckets.count == 0)
        #expect(buckets.take(charge, at: start).standings[0].remaining == 59)
    }

    /// Whatever the clock does, nobody waits longer than an empty bucket takes to fill.
    @Test func aClockThatIsSetBackLocksNobodyOut() {
        var buckets = RateBuckets<String>()
        let charge = [RateCharge("u1", creates)]
        _ = buckets.take(charge, at: start)
        let earlier = start - 3600 * second
        let decision = buckets.take(charge, at: earlier)
        #expect(decision.standings[0].wait == second / 2)
        #expect(buckets.take(charge, at: earlier + 30 * second).isAllowed)
    }

    @Test(
        arguments: [
            (0, 60, 1), (-1, 60, 1), (1, 0, 1), (1, 86_401, 1), (1, 60, 0), (600_001, 60, 1), (1, 86_400, 8),
            (1, 1, 1_000_001), (.max, 60, 1), (1, .max, 1), (1, 60, .max),
        ] as [(Int64, Int64, Int64)])
    func aLimitOutOfBoundsIsNone(_ units: Int64, _ seconds: Int64, _ burst: Int64) {
        #expect(RateLimit("x", units, per: seconds, burst: burst) == nil)
    }

    /// It stands in headers, and in Redis' keys before the owner.
    @Test(arguments: [
        "", "Create", "a b", "a\"", "a;q=1", "a:b", "é", "a\r\n", "a1", String(repeating: "a", count: 41),
    ])
    func aNameOfOtherLettersIsNone(_ name: String) {
        #expect(RateLimit(name, 1, per: 1, burst: 1) == nil)
    }

    /// Two limits of one owner are two buckets, though the owner is the same.
    @Test func anOwnerHasABucketOfEachLimit() {
        var buckets = RateBuckets<String>()
        let auth = RateLimit("auth", 1, per: 60, burst: 1)!
        #expect(buckets.take([RateCharge("u1", creates), RateCharge("u1", auth)], at: start).isAllowed)
        let refused = buckets.take([RateCharge("u1", creates), RateCharge("u1", auth)], at: start)
        #expect(refused.standings.map(\.remaining) == [59, 0])
        #expect(buckets.take([RateCharge("u1", creates)], at: start).standings[0].remaining == 58)
    }

    #if DEBUG
        @Test func aBucketIsChargedOnce() async {
            await #expect(processExitsWith: .failure) {
                let limit = RateLimit("create", 1, per: 1, burst: 9)!
                var buckets = RateBuckets<String>()
                _ = buckets.take([RateCharge("u1", limit), RateCharge("u1", limit)], at: 0)
            }
        }
    #endif

    /// Against a bucket that is filled drop by drop.
    @Test(arguments: 1...40)
    func itIsATokenBucket(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let limits = try ["a", "b", "c"].map { name in
            try #require(
                RateLimit(
                    name, Int64.random(in: 1...300, using: &random),
                    per: Int64.random(in: 1...60, using: &random),
                    burst: Int64.random(in: 1...40, using: &random)))
        }
        var buckets = RateBuckets<Int>()
        var model: [Int: TokenBucket] = [:]
        var now = start
        for _ in 0..<2000 {
            now +=
                Int64.random(in: 0...400_000, using: &random) * (Int.random(in: 0..<50, using: &random) == 0 ? 200 : 1)
            let keys = (0..<6).shuffled(using: &random).prefix(Int.random(in: 1...3, using: &random))
            let charges = keys.map { key in
                RateCharge(key, limits[key % 3], cost: Int64.random(in: 1...4, using: &random))
            }
            for charge in charges {
                model[charge.bucket.owner, default: TokenBucket(charge.limit, at: now)].fill(at: now)
            }
            if Int.random(in: 0..<8, using: &random) == 0 {
                buckets.giveBack(charges, at: now)
                for charge in charges { model[charge.bucket.owner]?.add(charge.interval) }
                continue
            }
            let mayTake = charges.allSatisfy { model[$0.bucket.owner]!.level >= $0.interval }
            let decision = buckets.take(charges, at: now)
            #expect(decision.isAllowed == mayTake)
            if mayTake { for charge in charges { model[charge.bucket.owner]?.add(-charge.interval) } }
            for (charge, standing) in zip(charges, decision.standings) {
                let level = model[charge.bucket.owner]!.level
                #expect(standing.remaining == level / model[charge.bucket.owner]!.unit)
                #expect(standing.wait == (mayTake ? 0 : max(0, charge.interval - level)))
                #expect(
                    standing.next
                        == (level == charge.limit.window
                            ? 0 : model[charge.bucket.owner]!.unit - level % model[charge.bucket.owner]!.unit))
            }
        }
    }

    /// However requests come, no window has more than its burst and what has come back in it.
    @Test(arguments: 1...10)
    func noWindowHasMoreThanItsShare(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let limit = try #require(RateLimit("x", 10, per: 1, burst: Int64.random(in: 4...20, using: &random)))
        var buckets = RateBuckets<String>()
        var (now, taken): (Int64, [Int64]) = (start, [])
        for _ in 0..<3000 {
            now += Int64.random(in: 0...60_000, using: &random)
            if buckets.take([RateCharge("u1", limit)], at: now).isAllowed { taken.append(now) }
        }
        // From each one taken to each later one: at most the burst, and what has come back between them.
        var most: Int64 = .min
        var highest: Int64 = .min
        for (index, time) in taken.enumerated() {
            let above = Int64(index) * 100_000 - time
            highest = max(highest, -above)
            most = max(most, above + highest + 100_000)
        }
        #expect(most <= limit.burst * 100_000)
        // And over the whole it gives what it promises.
        #expect(Int64(taken.count) >= (now - start) / 100_000 * 9 / 10)
    }

    @Test func onlyBucketsInUseAreHeld() {
        var buckets = RateBuckets<Int>(capacity: 1000)
        for index in 0..<1000 { _ = buckets.take([RateCharge(index, creates)], at: start) }
        #expect(buckets.count == 1000)
        // All are full again, and go when there is no room.
        _ = buckets.take([RateCharge(1000, creates)], at: start + second)
        #expect(buckets.count == 1)
    }

    /// A flood of new owners costs memory for so many, and does not free the one who has used all.
    @Test(arguments: [100, 3 * 4096])
    func theTablesAreBoundedAndKeepWhoUsesMost(_ capacity: Int) {
        var buckets = RateBuckets<Int>(capacity: capacity)
        let greedy = [RateCharge(-1, creates)]
        while buckets.take(greedy, at: start).isAllowed {}
        var most = 0
        for index in 0..<30_000 {
            _ = buckets.take([RateCharge(index, creates)], at: start)
            most = max(most, buckets.count)
        }
        #expect((capacity / 2...capacity).contains(most))
        #expect(!buckets.take(greedy, at: start).isAllowed)
    }

    /// An hour's bucket with one unit missing is full later than a second's empty one; it is the one to go.
    @Test func aSweepKeepsTheEmptyBucketsOfShortWindows() throws {
        var buckets = RateBuckets<Int>(capacity: 100)
        let short = try #require(RateLimit("short", 10, per: 1, burst: 10))
        let long = try #require(RateLimit("long", 60, per: 3600, burst: 60))
        let greedy = [RateCharge(-1, short)]
        while buckets.take(greedy, at: start).isAllowed {}
        for index in 0..<10_000 { _ = buckets.take([RateCharge(index, long)], at: start) }
        #expect(!buckets.take(greedy, at: start).isAllowed)
    }

    /// Whether all are as full as each other or none: half the capacity stays, and the emptiest of all.
    @Test(arguments: [0, 1, 5, 49, 50, 100])
    func aSweepKeepsHalf(_ greedy: Int) {
        var buckets = RateBuckets<Int>(capacity: 100)
        for index in 0..<101 {
            _ = buckets.take([RateCharge(index, creates, cost: index < greedy ? 60 : 1)], at: start)
        }
        #expect(buckets.count == 50)
        let refused = (0..<greedy).filter { !buckets.take([RateCharge($0, creates)], at: start).isAllowed }
        #expect(refused.count == min(greedy, 50))
    }

    /// Together at most the burst, unless there are more processes than units.
    @Test func sharesOfABurstAreNoMoreThanIt() throws {
        for burst in Int64(1)...40 {
            let limit = try #require(RateLimit("x", 10, per: 1, burst: burst))
            for processes in 1...40 {
                let share = limit.share(of: processes).burst
                #expect(share >= 1 && share * Int64(processes) <= max(burst, Int64(processes)))
            }
        }
        #expect(creates.share(of: .max) == creates.share(of: 1024))
    }

    @Test func processesShareALimit() throws {
        for processes in [1, 2, 3, 5, 8, 12] {
            let share = creates.share(of: processes)
            var given = 0
            for process in 0..<processes {
                var buckets = RateBuckets<Int>()
                // Ten minutes of asking ten times a second.
                for tick in 0..<6000
                where buckets.take([RateCharge(process, share)], at: start + Int64(tick) * 100_000).isAllowed {
                    given += 1
                }
            }
            // 1,200 and the burst.
            #expect(abs(given - 1260) <= 1260 / 25, "\(processes) processes: \(given)")
            #expect(share.units == creates.units)
        }
        #expect(creates.share(of: 0) == creates)
        #expect(try #require(RateLimit("x", 1, per: 60, burst: 1)).share(of: 1024).burst == 1)
    }

    @Test func processesAreSeenForAMinute() {
        var seen = SeenProcesses()
        #expect(seen.count == 1)
        for tick in 0..<10 {
            for process in 1...3 { seen.see(UInt64(process), at: start + Int64(tick) * 10 * second) }
        }
        #expect(seen.count == 3)
        // Two have gone: they count for a minute.
        for tick in 10...14 { seen.see(1, at: start + Int64(tick) * 10 * second) }
        seen.see(1, at: start + 149 * second)
        #expect(seen.count == 3)
        seen.see(1, at: start + 150 * second)
        #expect(seen.count == 1)
        for process in 0..<5000 { seen.see(UInt64(process), at: start + 152 * second) }
        #expect(seen.count == 1024)
    }

    /// While Redis is away nobody is heard of, and when it is back one is the first to be.
    @Test func processesAreRememberedWhileRedisIsAway() {
        var seen = SeenProcesses()
        for process in 1...3 { seen.see(UInt64(process), at: start) }
        // An hour without Redis, and then for a moment every two minutes: only one's own sign comes through.
        for flap in 0..<5 {
            seen.see(1, at: start + (3600 + Int64(flap) * 120) * second)
            #expect(seen.count == 3)
        }
        // It is back for good. One of the others is there, one has gone, and one is new.
        let back = start + 7200 * second
        for tick in 0...5 {
            for process in [1, 2, 4] { seen.see(UInt64(process), at: back + Int64(tick) * 10 * second) }
        }
        #expect(seen.count == 4)
        seen.see(1, at: back + 60 * second)
        #expect(seen.count == 3)
    }

    @Test func theFieldsNameTheTwoTightest() {
        var buckets = RateBuckets<String>()
        let limits = [
            RateLimit("read", 1200, per: 60, burst: 600)!, creates,
            RateLimit("application-create", 100, per: 1, burst: 70)!,
        ]
        let decision = buckets.take(limits.map { RateCharge($0.name, $0) }, at: start)
        #expect(decision.policyField == #""create";q=120;w=60, "application-create";q=100;w=1"#)
        #expect(decision.limitField == #""create";r=59;t=1, "application-create";r=69;t=1"#)
        let one = buckets.take([RateCharge("read", limits[0])], at: start + 3600 * second)
        #expect(one.policyField == #""read";q=1200;w=60"#)
        #expect(one.limitField == #""read";r=599;t=1"#)
        let slow = RateLimit("auth", 2, per: 60, burst: 1)!
        _ = buckets.take([RateCharge("a", slow)], at: start)
        #expect(buckets.take([RateCharge("a", slow)], at: start + 1).limitField == #""auth";r=0;t=30"#)
    }

    @Test(arguments: 1...20)
    func clientsComeBackSpread(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var buckets = RateBuckets<String>()
        let slow = try #require(RateLimit("auth", 1, per: 100, burst: 1))
        let allowed = buckets.take([RateCharge("a", slow)], at: start)
        #expect(allowed.retryAfter(using: &random) == nil)
        let refused = buckets.take([RateCharge("a", slow)], at: start)
        let answers = Set((0..<500).compactMap { _ in refused.retryAfter(using: &random) })
        #expect(answers.allSatisfy { (100...121).contains($0) })
        #expect(answers.count >= 15)
        // Short waits, too: half a second is over after the first second or the second.
        let soon = buckets.take([RateCharge("a", slow)], at: start + 100 * second - second / 2)
        #expect(Set((0..<500).compactMap { _ in soon.retryAfter(using: &random) }) == [1, 2])
        // A moment is rounded up to a second.
        let next = buckets.take([RateCharge("a", slow)], at: start + 100 * second - 1)
        #expect((0..<500).allSatisfy { _ in (1...2).contains(next.retryAfter(using: &random) ?? 0) })
    }
}

/// A bucket that is filled drop by drop; a unit is as many drops as its interval has microseconds.
private struct TokenBucket {
    let size: Int64
    let unit: Int64
    var level: Int64
    private var filledAt: Int64

    init(_ limit: RateLimit, at now: Int64) {
        size = limit.window
        unit = RateCharge(0, limit).interval
        level = size
        filledAt = now
    }

    mutating func fill(at now: Int64) {
        add(now - filledAt)
        filledAt = now
    }

    mutating func add(_ drops: Int64) { level = min(size, level + drops) }
}
