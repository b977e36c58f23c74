/// What an application has set for its requests and its new chats, beyond the server's settings. Most have set nothing.
package final class TenantRules: Equatable, Sendable {
    package static let mostOrigins = 32

    package let limits: TenantLimits
    /// Origins whose pages may call the API for this application, as browsers write them.
    package let origins: [String]
    /// Of its new chats.
    package let receipts: Chat.Receipts
    package let presence: Tenant.Presence

    package init(
        limits: TenantLimits = TenantLimits(), origins: [String] = [], receipts: Chat.Receipts = .off,
        presence: Tenant.Presence = .off
    ) {
        self.limits = limits
        self.origins = origins
        self.receipts = receipts
        self.presence = presence
    }

    /// - Parameters:
    ///   - limits: JSON; nil if none are set.
    ///   - origins: with blanks between; nil if none are set.
    ///   - receipts: the raw value; what a newer version may have stored counts as off. So is `presence`.
    /// - Returns: nil if nothing is set.
    package convenience init?(storedLimits limits: String?, origins: String?, receipts: Int64, presence: Int64) {
        let receipts = Chat.Receipts(rawValue: receipts) ?? .off
        let presence = Tenant.Presence(rawValue: presence) ?? .off
        guard limits != nil || origins != nil || receipts != .off || presence != .off else { return nil }
        self.init(
            limits: limits.map { TenantLimits(stored: $0) } ?? TenantLimits(),
            origins: (origins ?? "").split(separator: " ").map(String.init), receipts: receipts,
            presence: presence)
    }

    /// As it is stored.
    package var storedLimits: String? { limits.isEmpty ? nil : limits.text }
    /// As it is stored.
    package var storedOrigins: String? { origins.isEmpty ? nil : origins.joined(separator: " ") }

    /// - Parameter origin: as browsers write it.
    package func allows(_ origin: String) -> Bool { origins.contains { $0.utf8.elementsEqual(origin.utf8) } }

    package static func == (left: TenantRules, right: TenantRules) -> Bool {
        left.limits == right.limits && left.origins == right.origins && left.receipts == right.receipts
            && left.presence == right.presence
    }
}

/// A change of them; what is nil stays.
package struct RulesChange: Sendable {
    package var limits: LimitsChange?
    package var origins: [String]?
    package var receipts: Chat.Receipts?
    package var presence: Tenant.Presence?

    package init(
        limits: LimitsChange? = nil, origins: [String]? = nil, receipts: Chat.Receipts? = nil,
        presence: Tenant.Presence? = nil
    ) {
        self.limits = limits
        self.origins = origins
        self.receipts = receipts
        self.presence = presence
    }

    package var isEmpty: Bool { limits == nil && origins == nil && receipts == nil && presence == nil }

    package func applied(to rules: TenantRules?) -> TenantRules {
        let rules = rules ?? TenantRules()
        return TenantRules(
            limits: limits?.applied(to: rules.limits) ?? rules.limits, origins: origins ?? rules.origins,
            receipts: receipts ?? rules.receipts, presence: presence ?? rules.presence)
    }
}

extension Tenant {
    /// Whether users of an application see which of the others are online. The raw values are stored.
    package enum Presence: Int64, CaseIterable, Sendable {
        case off
        case users

        package var name: String { String(describing: self) }

        /// - Returns: nil if there is no such setting.
        package init?(name: String) {
            guard let value = Self.allCases.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else { return nil }
            self = value
        }
    }
}
