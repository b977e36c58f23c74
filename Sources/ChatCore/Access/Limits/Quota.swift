/// Why a request is refused for a limit.
package struct Quota: Equatable, Sendable {
    /// The names of the limits that refuse it: `user-create`.
    package let policies: [String]
    /// How long until it could be allowed, in microseconds.
    package let wait: Int64
    /// What the buckets of a known principal say.
    package let decision: RateDecision?

    /// - Parameter decision: that refuses.
    init(_ decision: RateDecision) {
        policies = decision.exceeded.map(\.name)
        wait = decision.standings.map(\.wait).max() ?? 0
        self.decision = decision
    }

    init(policies: [String], wait: Int64) {
        self.policies = policies
        self.wait = wait
        self.decision = nil
    }

    /// `Retry-After`, in seconds, as in `RateDecision`.
    package func retryAfter(using random: inout some RandomNumberGenerator) -> Int64 {
        RateDecision.retryAfter(wait: max(1, wait), using: &random)
    }
}

/// Units that a request has taken.
package struct SpentUnits: Sendable {
    package let decision: RateDecision
    fileprivate let charges: [RateCharge<String>]
    fileprivate let limiter: Limiter

    init(_ charges: [RateCharge<String>], _ decision: RateDecision, of limiter: Limiter) {
        self.charges = charges
        self.decision = decision
        self.limiter = limiter
    }

    /// They were taken for nothing: the request did nothing new. Call it once.
    ///
    /// - Parameter others: what the request pays for them. If a unit of these is missing, it has paid with its own.
    func giveBack(paying others: [RateCharge<String>]) { limiter.giveBack(charges, paying: others) }
}
