import ChatCore

extension EndpointResult {
    /// The same answer, with what is left of the units that the request took one of.
    func paid(with units: SpentUnits, by access: Access) -> EndpointResult {
        switch self {
        case .now(let response): .now(response.paid(with: units, by: access))
        case .later(let start): .later { reply in start { reply($0.map { $0.paid(with: units, by: access) }) } }
        case .task(let body): .task { try await body().paid(with: units, by: access) }
        case .wait(let body): .wait { try await body().paid(with: units, by: access) }
        }
    }
}

extension Response {
    func paid(with units: SpentUnits, by access: Access) -> Response {
        var response = self
        response.add(units.decision)
        if isReplay { access.hasReplayed(units) }
        return response
    }

    /// Tells a known principal about its limits (draft-ietf-httpapi-ratelimit-headers-10).
    mutating func add(_ decision: RateDecision) {
        headers.reserveCapacity(headers.count + 2)
        add("RateLimit-Policy", decision.policyField)
        add("RateLimit", decision.limitField)
    }

    /// Says that an earlier request with the same idempotency key did it.
    mutating func replay() {
        isReplay = true
        add("Idempotent-Replayed", "true")
    }
}
