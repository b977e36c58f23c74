/// What an application has set for its requests, beyond the server's settings. Most have set nothing.
package final class TenantRules: Equatable, Sendable {
    package static let mostOrigins = 32

    package let limits: TenantLimits
    /// Origins whose pages may call the API for this application, as browsers write them.
    package let origins: [String]

    package init(limits: TenantLimits = TenantLimits(), origins: [String] = []) {
        self.limits = limits
        self.origins = origins
    }

    /// - Parameters:
    ///   - limits: JSON; nil if none are set.
    ///   - origins: with blanks between; nil if none are set.
    /// - Returns: nil if nothing is set.
    package convenience init?(storedLimits limits: String?, origins: String?) {
        guard limits != nil || origins != nil else { return nil }
        self.init(
            limits: limits.map { TenantLimits(stored: $0) } ?? TenantLimits(),
            origins: (origins ?? "").split(separator: " ").map(String.init))
    }

    /// As it is stored.
    package var storedLimits: String? { limits.isEmpty ? nil : limits.text }
    /// As it is stored.
    package var storedOrigins: String? { origins.isEmpty ? nil : origins.joined(separator: " ") }

    /// - Parameter origin: as browsers write it.
    package func allows(_ origin: String) -> Bool { origins.contains { $0.utf8.elementsEqual(origin.utf8) } }

    package static func == (left: TenantRules, right: TenantRules) -> Bool {
        left.limits == right.limits && left.origins == right.origins
    }
}

/// A change of them; what is nil stays.
package struct RulesChange: Sendable {
    package var limits: LimitsChange?
    package var origins: [String]?

    package init(limits: LimitsChange? = nil, origins: [String]? = nil) {
        self.limits = limits
        self.origins = origins
    }

    package var isEmpty: Bool { limits == nil && origins == nil }

    package func applied(to rules: TenantRules?) -> TenantRules {
        let rules = rules ?? TenantRules()
        return TenantRules(
            limits: limits?.applied(to: rules.limits) ?? rules.limits, origins: origins ?? rules.origins)
    }
}
