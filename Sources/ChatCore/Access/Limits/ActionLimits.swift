/// What requests do, as far as limits tell them apart. Each has a bucket of its own.
package enum LimitedAction: String, CaseIterable, Sendable {
    /// Make a chat or a message.
    case create
    /// Change or delete something.
    case change
    /// Look at something, or search.
    case read
    /// Open a stream or a WebSocket, or subscribe to a chat over one.
    case stream
}

/// Whose requests a limit is for.
package enum LimitedPrincipal: String, CaseIterable, Sendable {
    /// All of an application, whoever sends them, but for the server's own key.
    case application
    /// Each user.
    case user
}

/// A limit as it is set.
package struct Allowance: Hashable, Sendable {
    package let rate: RateLimit
    /// Streams and WebSockets that are open at the same time in one process; only for `stream`. Nil: any number.
    package let concurrent: Int?

    package static let mostConcurrent = 1_000_000
    package static let mostPerMinute: Int64 = 600_000

    package var perMinute: Int64 { rate.units }

    /// - Parameters:
    ///   - burst: nil for half of what comes in a minute, and at least 1.
    ///   - concurrent: 1 to a million.
    /// - Returns: nil if a number is out of bounds (see `RateLimit`), or `concurrent` is set for another action than
    ///   `stream`.
    package init?(
        _ principal: LimitedPrincipal, _ action: LimitedAction, perMinute: Int64, burst: Int64? = nil,
        concurrent: Int? = nil
    ) {
        guard (1...Self.mostPerMinute).contains(perMinute), concurrent == nil || action == .stream,
            (1...Self.mostConcurrent).contains(concurrent ?? 1),
            let rate = RateLimit(
                "\(principal.rawValue)-\(action.rawValue)", perMinute, per: 60, burst: burst ?? max(1, perMinute / 2))
        else { return nil }
        self.rate = rate
        self.concurrent = concurrent
    }

    /// Whether it allows nothing that the other does not.
    func isWithin(_ other: Allowance) -> Bool {
        perMinute <= other.perMinute && rate.burst <= other.rate.burst
            && (other.concurrent.map { most in concurrent.map { $0 <= most } ?? false } ?? true)
    }
}

/// The limits of one kind of principal; what is nil is not limited.
package struct ActionLimits: Equatable, Sendable {
    private var create: Allowance?
    private var change: Allowance?
    private var read: Allowance?
    private var stream: Allowance?

    package init() {}

    package subscript(action: LimitedAction) -> Allowance? {
        get {
            switch action {
            case .create: create
            case .change: change
            case .read: read
            case .stream: stream
            }
        }
        set {
            switch action {
            case .create: create = newValue
            case .change: change = newValue
            case .read: read = newValue
            case .stream: stream = newValue
            }
        }
    }

    package var isEmpty: Bool { LimitedAction.allCases.allSatisfy { self[$0] == nil } }
}

/// The limits of an application.
package struct TenantLimits: Equatable, Sendable {
    package var application = ActionLimits()
    package var user = ActionLimits()

    package init() {}

    package subscript(principal: LimitedPrincipal) -> ActionLimits {
        get { principal == .application ? application : user }
        set { if principal == .application { application = newValue } else { user = newValue } }
    }

    package var isEmpty: Bool { application.isEmpty && user.isEmpty }
}

/// The server's own limits: they hold where an application has set none.
package struct LimitDefaults: Sendable {
    package var limits = TenantLimits()
    /// Failed credentials of one address; nil: any number.
    package var failures: RateLimit?

    /// Nothing is limited.
    package init() {}

    /// The defaults of the settings.
    package static let standard: LimitDefaults = {
        var defaults = LimitDefaults()
        for (action, perMinute, concurrent) in standardOfUsers {
            defaults.limits.user[action] = Allowance(.user, action, perMinute: perMinute, concurrent: concurrent)
        }
        defaults.failures = failures(perMinute: 30)
        return defaults
    }()

    private static let standardOfUsers: [(LimitedAction, Int64, Int?)] = [
        (.create, 120, nil), (.change, 120, nil), (.read, 1200, nil), (.stream, 600, 50),
    ]

    /// - Parameter perMinute: 1 to 600,000, all of which may come at once.
    package static func failures(perMinute: Int64) -> RateLimit? {
        RateLimit("auth", perMinute, per: 60, burst: perMinute)
    }
}
