import ChatCore

extension Settings {
    func limitDefaults() throws -> LimitDefaults {
        var defaults = LimitDefaults()
        defaults.limits.user = try limits(of: .user, LimitDefaults.standard.limits.user, Setup.limitsUser)
        defaults.limits.application = try limits(of: .application, ActionLimits(), Setup.limitsApplication)
        let failures = try number(Setup.limitsAuth, in: 0...600_000)
        defaults.failures = failures == 0 ? nil : LimitDefaults.failures(perMinute: Int64(failures))
        return defaults
    }

    func trustedProxies() throws -> TrustedProxies {
        let list = try text(Setup.trustedProxies)
        do throws(TrustedProxies.Malformed) {
            return try TrustedProxies(list)
        } catch {
            throw Invalid(description: "\(Setup.trustedProxies.variable) \(error.description).")
        }
    }

    /// Limits such as `create=120/60 stream=600/300/50`; what is not named keeps its default, `off` takes one or all away.
    private func limits(
        of principal: LimitedPrincipal, _ defaults: ActionLimits, _ setting: Setting<String>
    ) throws -> ActionLimits {
        var limits = defaults
        for entry in try text(setting).split(separator: " ") {
            if entry == "off" {
                limits = ActionLimits()
                continue
            }
            let parts = entry.split(separator: "=", omittingEmptySubsequences: false)
            guard parts.count == 2, let action = LimitedAction(rawValue: String(parts[0])) else {
                throw invalid(setting)
            }
            limits[action] = nil
            if parts[1] == "off" { continue }
            let numbers = parts[1].split(separator: "/", omittingEmptySubsequences: false).map { Int64(digits: $0) }
            guard (1...3).contains(numbers.count), let perMinute = numbers[0], numbers.allSatisfy({ $0 != nil }),
                let limit = Allowance(
                    principal, action, perMinute: perMinute, burst: numbers.count > 1 ? numbers[1] : nil,
                    concurrent: numbers.count > 2 ? numbers[2].map { Int(clamping: $0) } : nil)
            else { throw invalid(setting) }
            limits[action] = limit
        }
        return limits
    }

    private func invalid(_ setting: Setting<String>) -> Invalid {
        Invalid(
            description: """
                \(setting.variable) must be off, or limits a minute with their burst, such as create=120/60 change=off \
                read=1200/600 stream=600/300/50, where the last number is how many may be open.
                """)
    }
}
