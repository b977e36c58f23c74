import Synchronization

/// Whom a connection watches, and what it has not taken of them. It ends with its last reference.
package final class PresenceWatch: Sendable {
    private struct State {
        /// In the order in which they came; of a user the last one.
        var changes: [UserPresence] = []
        var wake: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())
    private let onEnd: @Sendable () -> Void

    init(onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }

    deinit { onEnd() }

    func tell(_ user: User.ID, isOnline: Bool) {
        let wake = state.withLock { state in
            state.changes.removeAll { $0.user == user }
            state.changes.append(UserPresence(user: user, isOnline: isOnline))
            defer { state.wake = nil }
            return state.wake
        }
        wake?()
    }

    /// - Parameter wake: kept if there is nothing; called once, on any thread, when there is.
    package func take(orWake wake: @escaping @Sendable () -> Void) -> [UserPresence] {
        state.withLock { state in
            defer { state.changes = [] }
            if state.changes.isEmpty { state.wake = wake }
            return state.changes
        }
    }
}

/// Whether a user is online.
package struct UserPresence: Hashable, Sendable, JSONWritable {
    package let user: User.ID
    package let isOnline: Bool

    package init(user: User.ID, isOnline: Bool) {
        self.user = user
        self.isOnline = isOnline
    }

    package func write(to json: inout JSONWriter) { json.object(writeMembers) }

    /// Writes its members into an object that has others.
    package func writeMembers(to json: inout JSONWriter) {
        json.member("user", user.text)
        json.member("state", isOnline ? "online" : "offline")
    }
}
