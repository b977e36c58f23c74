import Synchronization

/// The open streams and connections of each principal, so that a revocation can end them.
package final class Openings: Sendable {
    private struct Reference { weak var opening: Opening? }

    private let open = Mutex<[Principal: [ObjectIdentifier: Reference]]>([:])
    private let count = Atomic<UInt64>(0)

    /// - Returns: an opening that counts until it is released.
    ///
    /// - Parameters:
    ///   - name: what the request's path called the tenant.
    ///   - session: a user's.
    func add(
        _ principal: Principal, _ name: Tenant.Name, of tenant: Tenant.ID, _ session: UserSession? = nil,
        holding slot: StreamSlots.Slot? = nil
    ) -> Opening {
        let number = count.wrappingAdd(1, ordering: .relaxed).newValue
        let opening = Opening(principal, name, of: tenant, session, slot, number, in: self)
        open.withLock { $0[principal, default: [:]][ObjectIdentifier(opening)] = Reference(opening: opening) }
        return opening
    }

    /// Ends all openings of a principal.
    func revoke(_ principal: Principal, _ reason: StreamEnd = .revoked) {
        // Openings may be released here, but not under the lock.
        let openings = open.withLock { $0[principal]?.values.compactMap(\.opening) ?? [] }
        for opening in openings.newestFirst { opening.revoke(reason) }
    }

    fileprivate func remove(_ opening: ObjectIdentifier, of principal: Principal) {
        open.withLock { open in
            open[principal]?[opening] = nil
            if open[principal]?.isEmpty == true { open[principal] = nil }
        }
    }

    /// The openings that meet a condition. Costs a look at each.
    func all(where condition: (Opening) -> Bool) -> [Opening] {
        // Conditions and the end of an opening must not come under the lock.
        let all = open.withLock { open in open.values.flatMap { $0.values.compactMap(\.opening) } }
        return all.filter(condition).newestFirst
    }

    func has(_ principal: Principal) -> Bool { open.withLock { $0[principal] != nil } }

    /// The principals with openings.
    var principals: [Principal] { open.withLock { Array($0.keys) } }
}

/// An open stream or connection of a principal.
package final class Opening: Sendable {
    private struct State {
        /// Why it has ended.
        var ended: StreamEnd?
        var end: (@Sendable (StreamEnd) -> Void)?
        var isInDoubt = false
    }

    let principal: Principal
    let name: Tenant.Name
    let tenant: Tenant.ID
    private let session: UserSession?
    private let slot: StreamSlots.Slot?
    /// A later one has a higher number.
    fileprivate let number: UInt64
    private let openings: Openings
    private let state = Mutex(State())

    fileprivate init(
        _ principal: Principal, _ name: Tenant.Name, of tenant: Tenant.ID, _ session: UserSession?,
        _ slot: StreamSlots.Slot?, _ number: UInt64, in openings: Openings
    ) {
        self.principal = principal
        self.number = number
        self.slot = slot
        self.name = name
        self.tenant = tenant
        self.session = session
        self.openings = openings
    }

    /// Whether nobody has found out yet if it may stay open.
    var isInDoubt: Bool {
        get { state.withLock(\.isInDoubt) }
        set { state.withLock { $0.isInDoubt = newValue } }
    }

    /// A user's, as it is now.
    var token: UserToken? { session?.token }

    deinit { openings.remove(ObjectIdentifier(self), of: principal) }

    /// - Parameter end: called once, on any thread, when the principal is revoked or its credentials have expired; at once
    ///   if that has happened.
    package func whenEnded(_ end: @escaping @Sendable (StreamEnd) -> Void) {
        let ended = state.withLock { state in
            if state.ended == nil { state.end = end }
            return state.ended
        }
        if let ended { end(ended) }
    }

    package func whenRevoked(_ end: @escaping @Sendable () -> Void) { whenEnded { _ in end() } }

    func revoke(_ reason: StreamEnd = .revoked) {
        let end = state.withLock { state in
            defer { state = State(ended: state.ended ?? reason) }
            return state.end
        }
        end?(reason)
    }
}

extension [Opening] {
    /// A subscription ends before the connection that it came over, and so for the same reason as that.
    fileprivate var newestFirst: [Opening] { sorted { $0.number > $1.number } }
}
