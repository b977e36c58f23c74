package import Logging
import Synchronization

/// Which server the writes of this process go to: its pools share one, so that what one of them learns of a switch-over
/// all of them follow.
package final class PrimaryWatch: Sendable {
    private typealias Server = ServerFacts.Server

    private struct State {
        /// Where the newest connection leads that may write; nil while there is none.
        var primary: Server?
        /// Where the newest connection leads, whatever it may do.
        var newest: Server?
    }

    private let state = Mutex(State())
    private let epochs = Atomic<UInt64>(0)
    private let moves = Atomic<UInt64>(0)
    private let logger: Logger

    package init(logger: Logger) { self.logger = logger }

    /// Rises before any connection is used that leads to other rows than the one before: what was learned of ids until
    /// then may not be true there. Cheap.
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
                // A replica is as good as any while nobody knows a primary, and stale where there is one.
                if let primary = state.primary, primary.data != facts.server.data {
                    return (MySQLError(.readOnly, "The server is read-only, and writes go to another"), nil)
                }
            }
            // One that was found where it was says nothing of where the address leads by now.
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
