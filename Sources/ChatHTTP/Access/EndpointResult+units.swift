import ChatCore

extension EndpointResult {
    /// The same answer, with what is left of the units that the request took one of.
    func paid(with units: SpentUnits) -> EndpointResult {
        switch self {
        case .now(let response): .now(response.paid(with: units))
        case .later(let start): .later { reply in start { reply($0.map { $0.paid(with: units) }) } }
        case .task(let body): .task { try await body().paid(with: units) }
        case .wait(let body): .wait { try await body().paid(with: units) }
        }
    }
}

extension Response {
    func paid(with units: SpentUnits) -> Response {
        var response = self
        response.add(units.decision)
        if isReplay { units.giveBack() }
        return response
    }

    /// Tells a known principal about its limits (draft-ietf-httpapi-ratelimit-headers-10).
    mutating func add(_ decision: RateDecision) {
        add("RateLimit-Policy", decision.policyField)
        add("RateLimit", decision.limitField)
    }

    /// Says that an earlier request with the same idempotency key did it.
    mutating func replay() {
        isReplay = true
        add("Idempotent-Replayed", "true")
    }
}
