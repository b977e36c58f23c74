import Synchronization

/// The open streams and connections of each principal, so that a revocation can end them.
package final class Openings: Sendable {
    private struct Reference { weak var opening: Opening? }

    private let open = Mutex<[Principal: [ObjectIdentifier: Reference]]>([:])

    /// - Returns: an opening that counts until it is released.
    func add(_ principal: Principal) -> Opening {
        let opening = Opening(principal, in: self)
        open.withLock { $0[principal, default: [:]][ObjectIdentifier(opening)] = Reference(opening: opening) }
        return opening
    }

    /// Ends all openings of a principal.
    func revoke(_ principal: Principal) {
        // Openings may be released here, but not under the lock.
        let openings = open.withLock { $0[principal]?.values.compactMap(\.opening) ?? [] }
        for opening in openings { opening.revoke() }
    }

    func has(_ principal: Principal) -> Bool { open.withLock { $0[principal] != nil } }

    fileprivate func remove(_ opening: ObjectIdentifier, of principal: Principal) {
        open.withLock { open in
            open[principal]?[opening] = nil
            if open[principal]?.isEmpty == true { open[principal] = nil }
        }
    }

    /// The principals with openings.
    var principals: [Principal] { open.withLock { Array($0.keys) } }
}

/// An open stream or connection of a principal.
package final class Opening: Sendable {
    private struct State {
        var isRevoked = false
        var end: (@Sendable () -> Void)?
    }

    private let principal: Principal
    private let openings: Openings
    private let state = Mutex(State())

    fileprivate init(_ principal: Principal, in openings: Openings) {
        self.principal = principal
        self.openings = openings
    }

    deinit { openings.remove(ObjectIdentifier(self), of: principal) }

    /// - Parameter end: called once, on any thread, when the principal is revoked; at once if it already is.
    package func whenRevoked(_ end: @escaping @Sendable () -> Void) {
        let isRevoked = state.withLock { state in
            if !state.isRevoked { state.end = end }
            return state.isRevoked
        }
        if isRevoked { end() }
    }

    fileprivate func revoke() {
        let end = state.withLock { state in
            defer { state = State(isRevoked: true) }
            return state.end
        }
        end?()
    }
}
