/// What the principal's limits say to its requests.
extension Access {
    /// Whether pages of an origin may use what is open. As it is now.
    ///
    /// - Parameter origin: as browsers write it.
    package func allows(_ origin: String) -> Bool { rules?.allows(origin) == true }

    /// The buckets that a request must pay from; empty if nothing limits it.
    package func charges(_ action: LimitedAction) -> [RateCharge<String>] {
        service.limiter.charges(principal, in: tenantID, rules, action)
    }

    /// Pays without waiting.
    ///
    /// - Returns: nil if others must be asked: use `pay`.
    /// - Throws: `ChatError.quotaExceeded`.
    package func payNow(_ charges: [RateCharge<String>]) throws(ChatError) -> SpentUnits? {
        try service.limiter.takeNow(charges)
    }

    /// - Throws: `ChatError.quotaExceeded`.
    package func pay(_ charges: [RateCharge<String>]) async throws(ChatError) -> SpentUnits {
        try await service.limiter.take(charges)
    }

    /// Pays for a request on an open connection, by the limits of now.
    ///
    /// - Returns: nil if nothing limits it.
    /// - Throws: `ChatError.quotaExceeded`.
    package func pay(_ action: LimitedAction) async throws(ChatError) -> SpentUnits? {
        let charges = currentCharges(action)
        if charges.isEmpty { return nil }
        return try await pay(charges)
    }

    /// A create has stored nothing, because an earlier one with its idempotency key did: it costs as much as a read.
    /// Where there is no read left, it costs a create: so nobody repeats without end.
    package func hasReplayed(_ units: SpentUnits) { units.giveBack(paying: currentCharges(.read)) }

    private func currentCharges(_ action: LimitedAction) -> [RateCharge<String>] {
        let rules = service.authenticator.knownTenant(name)?.rules ?? rules
        return service.limiter.charges(principal, in: tenantID, rules, action)
    }

    /// Counts a stream of the principal as open until the result is released.
    ///
    /// - Returns: nil if nothing limits how many are open.
    /// - Throws: `ChatError.quotaExceeded`.
    package func openStream() throws(ChatError) -> StreamSlots.Slot? {
        try service.limiter.openStream(principal, in: tenantID, rules)
    }
}
