/// The buckets of a process, in memory.
///
/// Holds at most `capacity` buckets, each about 120 bytes and its owner, in tables of 4,096. When there would be more in a
/// table, it drops the full ones. If more than half are left, it drops the fuller ones until half are left, by what is
/// missing in proportion to the burst; their owners get at most their burst again. So a flood of new owners makes room at
/// the cost of owners who have used little. A sweep of a table takes a few milliseconds, and comes once in 2,048 new
/// buckets at most.
///
/// Moments are microseconds of a clock that does not jump.
package struct RateBuckets<Owner: Hashable & Sendable>: Sendable {
    private var tables: [RateTable<Owner>]

    package init(capacity: Int = 65_536) {
        let tables = max(1, capacity / 4096)
        self.tables = Array(repeating: RateTable(capacity: max(2, capacity / tables)), count: tables)
    }

    package var count: Int { tables.reduce(0) { $0 + $1.buckets.count } }

    /// Takes the units of all charges, or of none.
    ///
    /// - Parameter charges: of different buckets.
    package mutating func take(_ charges: [RateCharge<Owner>], at now: Int64) -> RateDecision {
        let held = charges.map { tables[table(of: $0.bucket)].fullAt(of: $0, at: now) }
        let decision = RateDecision(charges, held: held, now: now)
        guard decision.isAllowed else { return decision }
        for (charge, held) in zip(charges, held) {
            tables[table(of: charge.bucket)].put(charge, fullAt: held + charge.interval, at: now)
        }
        return decision
    }

    /// Gives units back that were taken for nothing. A bucket never holds more than its burst.
    package mutating func giveBack(_ charges: [RateCharge<Owner>], at now: Int64) {
        for charge in charges {
            let index = table(of: charge.bucket)
            let held = tables[index].fullAt(of: charge, at: now)
            if held > now { tables[index].put(charge, fullAt: held - charge.interval, at: now) }
        }
    }

    /// Makes the buckets as full as others of the same name and owner have been found, in proportion.
    ///
    /// - Parameters:
    ///   - charges: whose limits have the same windows as those of the decision.
    ///   - decision: about the others.
    package mutating func copy(_ decision: RateDecision, to charges: [RateCharge<Owner>], at now: Int64) {
        for (charge, standing) in zip(charges, decision.standings) {
            tables[table(of: charge.bucket)].put(charge, fullAt: now + standing.missing, at: now)
        }
    }

    private func table(of bucket: RateBucket<Owner>) -> Int {
        Int(bucket.hashValue.magnitude % UInt(tables.count))
    }
}

/// Some of the buckets.
private struct RateTable<Owner: Hashable & Sendable>: Sendable {
    struct Level {
        let fullAt: Int64
        /// Of the limit when it was last used.
        let window: Int64

        /// How empty a bucket is that is not full, from 0 to `emptiest`. In proportion to the window: a bucket of a long
        /// one is full late even if little is missing in it.
        func emptiness(at now: Int64) -> Int {
            Int(min(1, Double(fullAt - now) / Double(window)) * Double(Self.emptiest))
        }

        static var emptiest: Int { 1000 }
    }

    let capacity: Int
    private(set) var buckets: [RateBucket<Owner>: Level] = [:]

    init(capacity: Int) { self.capacity = capacity }

    mutating func fullAt(of charge: RateCharge<Owner>, at now: Int64) -> Int64 {
        guard let stored = buckets[charge.bucket] else { return now }
        let held = charge.limit.fullAt(stored.fullAt, now: now)
        // A clock that was set back: if the request is refused, too, or the bucket would stay empty until then.
        if stored.fullAt > held { put(charge, fullAt: held, at: now) }
        return held
    }

    mutating func put(_ charge: RateCharge<Owner>, fullAt: Int64, at now: Int64) {
        guard fullAt > now else {
            buckets[charge.bucket] = nil
            return
        }
        let level = Level(fullAt: fullAt, window: charge.limit.window)
        if buckets.updateValue(level, forKey: charge.bucket) == nil, buckets.count > capacity { sweep(at: now) }
    }

    private mutating func sweep(at now: Int64) {
        buckets = buckets.filter { $0.value.fullAt > now }
        let most = capacity / 2
        guard buckets.count > most else { return }
        var counts = [Int](repeating: 0, count: Level.emptiest + 1)
        for level in buckets.values { counts[level.emptiness(at: now)] += 1 }
        // Those above the edge all stay, and of those at the edge as many as there is room for.
        var (edge, room) = (Level.emptiest, most)
        while counts[edge] <= room {
            room -= counts[edge]
            edge -= 1
        }
        buckets = buckets.filter { _, level in
            let emptiness = level.emptiness(at: now)
            guard emptiness == edge else { return emptiness > edge }
            room -= 1
            return room >= 0
        }
    }
}
