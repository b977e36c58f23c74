/// The buckets of a process, in memory.
///
/// Holds only buckets that are not full: those of who did something within their limit's window. At most `capacity`,
/// each about 100 bytes and its key. When there would be more, the full ones go; then the half that will be full
/// soonest, whose owners get at most their burst once more. So a flood of new owners makes room at the cost of who has
/// used little, and not of who has used all.
///
/// Moments are microseconds of a clock that does not jump.
package struct RateBuckets<Key: Hashable & Sendable>: Sendable {
    private let capacity: Int
    /// When a bucket will be full.
    private var fullAt: [Key: Int64] = [:]

    package init(capacity: Int = 65_536) { self.capacity = max(2, capacity) }

    package var count: Int { fullAt.count }

    /// Takes the units of all charges, or of none.
    ///
    /// - Parameter charges: of different buckets.
    package mutating func take(_ charges: [RateCharge<Key>], at now: Int64) -> RateDecision {
        let held = charges.map { charge in
            let stored = fullAt[charge.key]
            let held = charge.limit.fullAt(stored, now: now)
            // A clock that was set back: if the request is refused, too, or the bucket would stay empty until then.
            if let stored, stored > held { fullAt[charge.key] = held }
            return held
        }
        let decision = RateDecision(charges, held: held, now: now)
        guard decision.isAllowed else { return decision }
        for (charge, held) in zip(charges, held) {
            if fullAt.updateValue(held + charge.interval, forKey: charge.key) == nil, fullAt.count > capacity {
                sweep(at: now)
            }
        }
        return decision
    }

    /// Gives units back that were taken for nothing. A bucket never holds more than its burst.
    package mutating func giveBack(_ charges: [RateCharge<Key>], at now: Int64) {
        for charge in charges {
            guard let held = fullAt[charge.key] else { continue }
            let full = charge.limit.fullAt(held, now: now) - charge.interval
            fullAt[charge.key] = full > now ? full : nil
        }
    }

    private mutating func sweep(at now: Int64) {
        fullAt = fullAt.filter { $0.value > now }
        guard fullAt.count > capacity / 2 else { return }
        let middle = fullAt.values.sorted()[fullAt.count - capacity / 2 - 1]
        fullAt = fullAt.filter { $0.value > middle }
    }
}
