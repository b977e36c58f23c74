package import Logging
import Synchronization

/// Which server the writes of this process go to: its pools share one, so that what one of them learns of a switch-over
/// all of them follow.
package final class PrimaryWatch: Sendable {
    private typealias Server = ServerFacts.Server

    private struct State {
        /// The server of the newest connection that may write; nil while there is none.
        var primary: Server?
        /// The server of the newest connection, for reading or writing.
        var newest: Server?
    }

    private let state = Mutex(State())
    private let epochs = Atomic<UInt64>(0)
    private let moves = Atomic<UInt64>(0)
    private let logger: Logger

    package init(logger: Logger) { self.logger = logger }

    /// Rises before any connection to a server with other rows is used: cached ids may be wrong there. Cheap.
    package var epoch: UInt64 { epochs.load(ordering: .acquiring) }

    /// Whose rows the server in use has (`ServerFacts.Server.data`); empty before there was one.
    package var data: String { state.withLock(\.newest)?.data ?? "" }

    /// Rises when `primary` changes. Cheap.
    var move: UInt64 { moves.load(ordering: .acquiring) }

    var primary: ServerFacts.Server? { state.withLock(\.primary) }

    /// A connection was made, or was checked.
    ///
    /// - Parameters:
    ///   - before: where it led when it was asked last; nil for a new one.
    ///   - writes: whether it is for writing.
    /// - Returns: why it must not be used; nil where it may.
    func admit(_ facts: ServerFacts, before: ServerFacts.Server?, writes: Bool) -> MySQLError? {
        let (refusal, former) = state.withLock { state -> (MySQLError?, Server?) in
            if facts.isReadOnly {
                if writes { return (MySQLError(.readOnly, "The database server is read-only"), nil) }
                // While no primary is known, a replica will do; beside a primary it is stale.
                if let primary = state.primary, primary.data != facts.server.data {
                    return (MySQLError(.readOnly, "The server is read-only, and writes go to another"), nil)
                }
            }
            // An old connection to the same server does not show where the address leads now.
            guard before != facts.server else { return (nil, nil) }
            if !facts.isReadOnly, state.primary?.data != facts.server.data {
                state.primary = facts.server
                moves.add(1, ordering: .releasing)
            }
            defer { state.newest = facts.server }
            guard let newest = state.newest, newest.data != facts.server.data else { return (nil, nil) }
            epochs.add(1, ordering: .releasing)
            return (nil, newest)
        }
        if let former {
            logger.notice(
                "Database server changed", metadata: ["from": "\(former)", "to": "\(facts.server)"])
        }
        return refusal
    }

    /// No connection that may write is left.
    func lose() {
        state.withLock { state in
            guard state.primary != nil else { return }
            state.primary = nil
            moves.add(1, ordering: .releasing)
        }
    }
}
