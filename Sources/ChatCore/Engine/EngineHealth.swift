import Scheduling

/// Spares searches the wait for an engine that fails.
///
/// An engine that cannot be reached, refuses, or has no capacity rests: after longer and longer pauses one search tries
/// it. One that does not answer a search in time rests for that tenant alone, whose search may be a slow one, and the others
/// go on. Only if it is late for several tenants in a row, with no answer between them, it rests for all.
struct EngineHealth: Sendable {
    private struct Rest {
        var backoff: Backoff
        var until: Duration

        /// - Returns: false before the rest is over; then one search tries, and the next rest begins.
        mutating func mayTry(at now: Duration) -> Bool {
            guard now >= until else { return false }
            until = now + backoff.pause()
            return true
        }
    }

    private let limits: EngineSearchLimits
    private var rest: Rest?
    private var tenants: [Tenant.ID: Rest] = [:]
    /// Those for whom it was late since its last answer.
    private var late: Set<Tenant.ID> = []

    init(_ limits: EngineSearchLimits) { self.limits = limits }

    mutating func mayTry(_ tenant: Tenant.ID, at now: Duration) -> Bool {
        if let own = tenants[tenant], now < own.until { return false }
        if rest?.mayTry(at: now) == false { return false }
        return tenants[tenant]?.mayTry(at: now) ?? true
    }

    mutating func succeed(_ tenant: Tenant.ID) {
        rest = nil
        tenants[tenant] = nil
        late = []
    }

    /// - Returns: whether it did not rest before.
    mutating func fail(at now: Duration) -> Bool {
        guard rest == nil else { return false }
        rest = begun(at: now)
        return true
    }

    /// - Returns: whether it rests for all, and did not before.
    mutating func beLate(_ tenant: Tenant.ID, at now: Duration) -> Bool {
        if late.count < limits.lateTenants { late.insert(tenant) }
        if late.count >= limits.lateTenants { return fail(at: now) }
        if tenants.count >= limits.restingTenants { tenants = tenants.filter { now < $0.value.until } }
        if tenants.count >= limits.restingTenants { return fail(at: now) }
        if tenants[tenant] == nil { tenants[tenant] = begun(at: now) }
        return false
    }

    private func begun(at now: Duration) -> Rest {
        var backoff = Backoff(first: limits.firstRest, longest: limits.longestRest)
        let pause = backoff.pause()
        return Rest(backoff: backoff, until: now + pause)
    }
}
