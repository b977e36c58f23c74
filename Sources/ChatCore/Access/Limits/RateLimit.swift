/// A limit of a rate: units that come back at an even pace, and a burst of them that may be used at once.
///
/// It is GCRA (ITU-T I.371), the leaky bucket as one timestamp: the moment at which the bucket will be full again. A
/// bucket whose moment has passed is full, so that it need not be stored. Over any time `t` at most
/// `burst + t / interval` units are given.
///
/// Moments are microseconds of any clock, intervals microseconds. All are below 2^53, because Redis' scripts calculate
/// with doubles.
package struct RateLimit: Hashable, Sendable {
    /// Of the policy, in the headers: 1 to 40 lower-case letters and hyphens.
    package let name: String
    package let units: Int64
    package let seconds: Int64
    package let burst: Int64
    /// From one unit to the next.
    let interval: Int64
    /// It as an item of `RateLimit-Policy`.
    let policy: String
    /// How an item of `RateLimit` about it begins, up to the units that are left.
    let standing: String

    /// The time in which an empty bucket becomes full.
    package var window: Int64 { burst * interval }

    /// - Parameters:
    ///   - units: how many come back in `seconds`, which is at most a day.
    ///   - burst: how many may be used at once: at most a million, and what comes back in a week.
    /// - Returns: nil if the name breaks its rule or a number is out of bounds. More than 10,000 a second is, too: an interval in whole
    ///   microseconds would not be exact enough.
    package init?(_ name: String, _ units: Int64, per seconds: Int64, burst: Int64) {
        guard units > 0, (1...86_400).contains(seconds), (1...1_000_000).contains(burst),
            units <= 10_000 * seconds, (1...40).contains(name.utf8.count),
            name.utf8.allSatisfy({ (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || $0 == UInt8(ascii: "-") })
        else { return nil }
        self.init(name, units, seconds, burst: burst, interval: (seconds * 1_000_000 + units / 2) / units)
        guard window <= 7 * 86_400 * 1_000_000 else { return nil }
    }

    private init(_ name: String, _ units: Int64, _ seconds: Int64, burst: Int64, interval: Int64) {
        self.name = name
        self.units = units
        self.seconds = seconds
        self.burst = burst
        self.interval = interval
        self.policy = "\"\(name)\";q=\(units);w=\(seconds)"
        self.standing = "\"\(name)\";r="
    }

    /// What one process may give when each of some gives on its own: together they give at most the limit. But a burst
    /// is at least one unit, so processes that are more than its units give more.
    ///
    /// - Parameter processes: more than `SeenProcesses.most` count as those.
    package func share(of processes: Int) -> RateLimit {
        let processes = Int64(min(max(1, processes), SeenProcesses.most))
        return RateLimit(
            name, units, seconds, burst: max(1, burst / processes), interval: interval * processes)
    }

    /// The moment at which a bucket will be full, made one that this limit can lead to: not before `now`, and no
    /// further ahead than an empty bucket's. So a clock that is set back, or a stored value that is wrong, locks nobody
    /// out for longer than that.
    func fullAt(_ held: Int64?, now: Int64) -> Int64 { min(max(held ?? now, now), now + window) }
}

/// Whose units of which limit. Two limits of one owner are two buckets.
package struct RateBucket<Owner: Hashable & Sendable>: Hashable, Sendable {
    /// The limit's.
    package let name: String
    package let owner: Owner
    /// Made once: a request looks into its buckets several times.
    private let digest: Int

    init(name: String, owner: Owner) {
        self.name = name
        self.owner = owner
        var hasher = Hasher()
        hasher.combine(name)
        hasher.combine(owner)
        digest = hasher.finalize()
    }

    package static func == (a: RateBucket, b: RateBucket) -> Bool {
        a.digest == b.digest && a.name == b.name && a.owner == b.owner
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}

/// Units that one request takes from one bucket.
package struct RateCharge<Owner: Hashable & Sendable>: Sendable {
    package let bucket: RateBucket<Owner>
    package let limit: RateLimit
    package let cost: Int64

    /// - Parameters:
    ///   - owner: the user, application or address that is limited.
    ///   - cost: at least 1. One above the burst counts as the burst, or it could never be paid.
    package init(_ owner: Owner, _ limit: RateLimit, cost: Int64 = 1) {
        bucket = RateBucket(name: limit.name, owner: owner)
        self.limit = limit
        self.cost = min(max(1, cost), limit.burst)
    }

    /// The same from what one process may give (`RateLimit.share`).
    package func share(of processes: Int) -> RateCharge {
        RateCharge(bucket.owner, limit.share(of: processes), cost: cost)
    }

    /// As a time.
    package var interval: Int64 { cost * limit.interval }
}
