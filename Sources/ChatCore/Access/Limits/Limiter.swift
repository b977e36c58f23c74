import Synchronization

/// The buckets of all processes of a deployment, kept elsewhere.
package protocol SharedRateBuckets: Sendable {
    /// Whether it probably answers. Cheap. While it does not, nobody waits for it.
    var isThere: Bool { get }
    /// How many processes share them (`SeenProcesses`).
    var processes: Int { get }
    /// Takes the units of all charges, or of none. Waits for a bounded time.
    ///
    /// - Returns: nil without an answer; the units may be taken.
    func take(_ charges: [RateCharge<String>]) async -> RateDecision?
    /// Gives units back and takes those of other charges for them, or does neither if one of these is missing. Does not
    /// wait: a `take` after it finds what it has done.
    ///
    /// - Parameter others: of other buckets.
    func giveBack(_ charges: [RateCharge<String>], paying others: [RateCharge<String>])
}

/// Limits requests: each takes a unit of its principal's limits.
///
/// In a cluster the buckets are shared. While those do not answer, each process gives its share of a limit, and goes on from
/// where the shared bucket was when it last asked (docs/decisions/0036-limits-wired.md).
package final class Limiter: Sendable {
    /// Networks at the same time whose credentials are refused.
    private static let mostAddresses = 16_384
    /// How many times the failures of a network of IPv6 a wider one may have, which may be one customer's, too.
    private static let widening: Int64 = 8

    let defaults: LimitDefaults
    let slots = StreamSlots()
    private let shared: (any SharedRateBuckets)?
    private let buckets = Mutex(RateBuckets<String>())
    private let refused = Mutex(RefusedAddresses(capacity: mostAddresses))
    private let isAnyRefused = Atomic(false)
    private let time: Timekeeper
    /// Of failures, for each of the networks that an address is in: `AddressRange.countedWidths`.
    private let failures: [RateLimit]

    init(_ defaults: LimitDefaults, shared: (any SharedRateBuckets)?, time: Timekeeper) {
        self.defaults = defaults
        self.failures = defaults.failures.map(Self.failures) ?? []
        self.shared = shared
        self.time = time
    }

    private var now: Int64 {
        let (seconds, attoseconds) = time.now().components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }

    // MARK: Principals

    /// What a request of the principal must pay: its buckets, empty if nothing limits it.
    func charges(_ principal: Principal, in tenant: Tenant.ID, _ rules: TenantRules?, _ action: LimitedAction)
        -> [RateCharge<String>]
    {
        holders(principal, in: tenant, rules, action).map { RateCharge($0.owner, $0.limit.rate) }
    }

    /// Counts a stream of the principal as open until the result is released.
    ///
    /// - Throws: `ChatError.quotaExceeded` if as many are open as may be.
    func openStream(
        _ principal: Principal, in tenant: Tenant.ID, _ rules: TenantRules?
    ) throws(ChatError) -> StreamSlots.Slot? {
        let bounds = holders(principal, in: tenant, rules, .stream).compactMap { holder in
            holder.limit.concurrent.map { (holder.limit.rate.name, holder.owner, $0) }
        }
        return bounds.isEmpty ? nil : try slots.take(bounds)
    }

    /// Whose limits hold for a principal.
    private func holders(
        _ principal: Principal, in tenant: Tenant.ID, _ rules: TenantRules?, _ action: LimitedAction
    ) -> [(owner: String, limit: Allowance)] {
        switch principal {
        case .admin: return []
        case .pathToken, .applicationKey:
            guard let limit = limit(.application, rules, action) else { return [] }
            return [(Self.owner(tenant), limit)]
        case .user(_, let user):
            // Both, the user's own first.
            let own = limit(.user, rules, action).map { (Self.owner(tenant, user), $0) }
            let all = limit(.application, rules, action).map { (Self.owner(tenant), $0) }
            return [own, all].compactMap(\.self)
        }
    }

    private func limit(_ principal: LimitedPrincipal, _ rules: TenantRules?, _ action: LimitedAction) -> Allowance? {
        rules?.limits[principal][action] ?? defaults.limits[principal][action]
    }

    private static func owner(_ tenant: Tenant.ID) -> String { "a\(tenant.rawValue)" }

    /// In ASCII: users are told apart by their bytes, and strings are the same if they look alike.
    private static func owner(_ tenant: Tenant.ID, _ user: User.ID) -> String {
        guard user.text.utf8.allSatisfy({ $0 < 0x80 }) else {
            let bytes = user.text.utf8.map { String($0, radix: 16) }.joined(separator: ".")
            return "x\(tenant.rawValue):\(bytes)"
        }
        return "u\(tenant.rawValue):\(user.text)"
    }

    // MARK: Units

    /// Takes the units of all charges, or of none, without waiting.
    ///
    /// - Returns: nil if others must be asked: use `take`.
    /// - Throws: `ChatError.quotaExceeded`.
    func takeNow(_ charges: [RateCharge<String>]) throws(ChatError) -> SpentUnits? {
        if let shared, shared.isThere { return nil }
        return try spent(charges, takeHere(charges))
    }

    /// - Throws: `ChatError.quotaExceeded`.
    func take(_ charges: [RateCharge<String>]) async throws(ChatError) -> SpentUnits {
        try spent(charges, await decide(charges))
    }

    fileprivate func decide(_ charges: [RateCharge<String>]) async -> RateDecision {
        guard let shared, shared.isThere, let decision = await shared.take(charges) else { return takeHere(charges) }
        // Where this process goes on if the next answer does not come.
        let shares = charges.map { $0.share(of: shared.processes) }
        let now = now
        buckets.withLock { $0.copy(decision, to: shares, at: now) }
        return decision
    }

    private func takeHere(_ charges: [RateCharge<String>]) -> RateDecision {
        let charges = shares(charges)
        let now = now
        return buckets.withLock { $0.take(charges, at: now) }
    }

    private func shares(_ charges: [RateCharge<String>]) -> [RateCharge<String>] {
        guard let shared else { return charges }
        let processes = shared.processes
        return processes == 1 ? charges : charges.map { $0.share(of: processes) }
    }

    private func spent(_ charges: [RateCharge<String>], _ decision: RateDecision) throws(ChatError) -> SpentUnits {
        guard decision.isAllowed else { throw .quotaExceeded(Quota(decision)) }
        return SpentUnits(charges, decision, of: self)
    }

    func giveBack(_ charges: [RateCharge<String>], paying others: [RateCharge<String>]) {
        let (own, other, now) = (shares(charges), shares(others), now)
        buckets.withLock { if $0.take(other, at: now).isAllowed { $0.giveBack(own, at: now) } }
        if let shared, shared.isThere { shared.giveBack(charges, paying: others) }
    }

    // MARK: Addresses

    /// Refuses credentials of an address that has failed too often, before anybody looks at them.
    ///
    /// - Throws: `ChatError.quotaExceeded`.
    func checkFailures(from address: IPAddress) throws(ChatError) {
        guard isAnyRefused.load(ordering: .relaxed) else { return }
        let now = now
        let end = refused.withLock { refused in
            let end = refused.end(of: address, at: now)
            if refused.isEmpty { isAnyRefused.store(false, ordering: .relaxed) }
            return end
        }
        guard let end else { return }
        throw .quotaExceeded(Quota(policies: [defaults.failures?.name ?? "auth"], wait: end - now))
    }

    /// The number of networks that are refused.
    var refusedAddresses: Int { refused.withLock(\.count) }

    /// Counts failed credentials: for the address, and for the wider networks of IPv6 that it is in. Whoever has a wide one
    /// has more addresses than there are buckets.
    ///
    /// - Returns: what to answer.
    func noteFailure(_ failure: ChatError, from address: IPAddress) async -> ChatError {
        guard failure.isFailedCredential, let limit = defaults.failures else { return failure }
        let networks = RefusedAddresses.counted(address)
        let decision = await decide(zip(networks, failures).map { RateCharge($0.text, $1) })
        guard let widest = decision.standings.lastIndex(where: { $0.wait > 0 }) else { return failure }
        let quota = Quota(policies: [limit.name], wait: decision.standings.map(\.wait).max() ?? 0)
        let now = now
        refused.withLock { refused in
            refused.refuse(networks[widest], until: now + quota.wait, at: now)
            isAnyRefused.store(true, ordering: .relaxed)
        }
        return .quotaExceeded(quota)
    }

    private static func failures(_ narrow: RateLimit) -> [RateLimit] {
        var limits = [narrow]
        for _ in RefusedAddresses.countedWidths.v6.dropFirst() {
            let perMinute = min(limits[limits.count - 1].units * widening, Allowance.mostPerMinute)
            limits.append(LimitDefaults.failures(perMinute: perMinute) ?? narrow)
        }
        return limits
    }
}

extension ChatError {
    /// Whether somebody showed credentials that are not right. Ones that have expired were.
    fileprivate var isFailedCredential: Bool {
        switch self {
        case .unauthorized(.invalid), .unauthorized(.revoked): true
        case .unauthorized(.userToken(let refusal)): ["token_invalid", "token_revoked"].contains(refusal.code)
        default: false
        }
    }
}
