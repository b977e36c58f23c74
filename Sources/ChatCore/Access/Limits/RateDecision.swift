/// Whether a request may take its units: from all of its buckets, or from none.
package struct RateDecision: Equatable, Sendable {
    /// What a bucket says to it.
    package struct Standing: Equatable, Sendable {
        package let limit: RateLimit
        /// Units that are left now.
        package let remaining: Int64
        /// How long until there is one more, in microseconds.
        package let next: Int64
        /// How long until the request could take its units, in microseconds; 0 if it can.
        package let wait: Int64

        /// How long until the bucket is full, in microseconds.
        var missing: Int64 { next == 0 ? 0 : (limit.burst - remaining - 1) * limit.interval + next }
    }

    /// In the order of the charges.
    package let standings: [Standing]

    package var isAllowed: Bool { standings.allSatisfy { $0.wait == 0 } }

    /// The limits that refuse it.
    package var exceeded: [RateLimit] { standings.filter { $0.wait > 0 }.map(\.limit) }

    /// - Parameters:
    ///   - charges: of different buckets: of two of one bucket only the last would be taken.
    ///   - held: for each charge, when its bucket will be full, as `RateLimit.fullAt` returns it: from `now` to a window
    ///     later.
    package init<Owner>(_ charges: [RateCharge<Owner>], held: [Int64], now: Int64) {
        precondition(charges.count == held.count, "a bucket each")
        if charges.count == 1 {
            let (charge, held) = (charges[0], held[0])
            let wait = max(0, held + charge.interval - charge.limit.window - now)
            standings = [Standing(charge, full: held + (wait == 0 ? charge.interval : 0), wait: wait, now: now)]
            return
        }
        assert(Set(charges.map(\.bucket)).count == charges.count, "a bucket is charged twice")
        let waits = zip(charges, held).map { max(0, $1 + $0.interval - $0.limit.window - now) }
        let isAllowed = waits.allSatisfy { $0 == 0 }
        standings = charges.indices.map { index in
            let full = held[index] + (isAllowed ? charges[index].interval : 0)
            return Standing(charges[index], full: full, wait: waits[index], now: now)
        }
    }
}

extension RateDecision.Standing {
    /// - Parameter full: when the bucket will be.
    init<Owner>(_ charge: RateCharge<Owner>, full: Int64, wait: Int64, now: Int64) {
        limit = charge.limit
        let missing = full - now
        remaining = (limit.window - missing) / limit.interval
        // Of a full bucket nothing is missing.
        next = missing == 0 ? 0 : (missing - 1) % limit.interval + 1
        self.wait = wait
    }
}

// draft-ietf-httpapi-ratelimit-headers-10, for at most two limits, so that the fields stay short: those with the least
// left.
extension RateDecision {
    /// `RateLimit-Policy`: what the limits are. The burst has no parameter there.
    package var policyField: String {
        standings.count == 1 ? standings[0].limit.policy : tightest.map(\.limit.policy).joined(separator: ", ")
    }

    /// `RateLimit`: what is left, and the seconds until there is more.
    package var limitField: String {
        standings.count == 1 ? Self.item(standings[0]) : tightest.map(Self.item).joined(separator: ", ")
    }

    /// `Retry-After`, in seconds: at least 1, and up to a second and 20 % later than the request could be repeated, so
    /// that clients that were refused together do not come back together. Never earlier: they would be refused again, and
    /// the draft wants it no earlier than `t`.
    ///
    /// - Returns: nil if the request is allowed.
    package func retryAfter(using random: inout some RandomNumberGenerator) -> Int64? {
        guard let wait = standings.map(\.wait).max(), wait > 0 else { return nil }
        return Self.retryAfter(wait: wait, using: &random)
    }

    /// - Parameter wait: in microseconds, more than 0.
    static func retryAfter(wait: Int64, using random: inout some RandomNumberGenerator) -> Int64 {
        seconds(wait + Int64.random(in: 0...1_000_000 + wait / 5, using: &random))
    }

    /// Without an interpolation, which costs several allocations for each answer.
    private static func item(_ standing: Standing) -> String {
        var item = ""
        item.reserveCapacity(64)
        item += standing.limit.standing
        item += String(standing.remaining)
        item += ";t="
        item += String(seconds(standing.next))
        return item
    }

    private var tightest: some Sequence<Standing> {
        standings.sorted { ($0.remaining, -$0.next) < ($1.remaining, -$1.next) }.prefix(2)
    }

    /// Rounded up.
    private static func seconds(_ microseconds: Int64) -> Int64 { (microseconds + 999_999) / 1_000_000 }
}
