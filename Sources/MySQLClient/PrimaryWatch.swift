package import Logging
import Synchronization

/// Tracks the server that takes the writes of this process. Its pools share one watch, so that all of them follow a
/// switch-over that one of them notices.
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

    /// The id of the data on the server in use (`ServerFacts.Server.data`); empty before the first connection.
    package var data: String { state.withLock(\.newest)?.data ?? "" }

    /// Rises when `primary` changes. Cheap.
    var move: UInt64 { moves.load(ordering: .acquiring) }

    var primary: ServerFacts.Server? { state.withLock(\.primary) }

    /// Notes a connection that was made or checked.
    ///
    /// - Parameters:
    ///   - before: the server at the last check; nil for a new connection.
    ///   - writes: whether it is for writing.
    /// - Returns: why it must not be used; nil if it may.
    func admit(_ facts: ServerFacts, before: ServerFacts.Server?, writes: Bool) -> MySQLError? {
        let (refusal, former) = state.withLock { state -> (MySQLError?, Server?) in
            if facts.isReadOnly {
                if writes { return (MySQLError(.readOnly, "The database server is read-only"), nil) }
                // While no primary is known, reads may use a replica; with a known primary it may be stale.
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

    /// Notes that no connection for writes is left.
    func lose() {
        state.withLock { state in
            guard state.primary != nil else { return }
            state.primary = nil
            moves.add(1, ordering: .releasing)
        }
    }
}
