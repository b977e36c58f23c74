import Logging
import RedisClient
import Synchronization

/// Logs each change of state between a worker and Redis once, whichever parts of the worker meet it.
///
/// Each part reports its failures and successes. While any part fails, a cause is logged when it is new; when none does,
/// the recovery is. A refusal that concerns one key only (`WRONGTYPE`) is kept apart, and logged for each part that meets
/// it: such a key may stay as it is for months and must not hide an outage.
final class Outage: Sendable {
    enum Part: Hashable {
        case fetch, beat, poll, rescue, settle
    }

    private struct Causes {
        private var byPart: [Part: String] = [:]
        /// Causes since the last recovery.
        private var logged: Set<String> = []

        /// - Returns: whether the cause is a new one.
        mutating func add(_ cause: String, of part: Part) -> Bool {
            byPart[part] = cause
            return logged.insert(cause).inserted
        }

        /// - Returns: whether it was the last.
        mutating func remove(_ part: Part) -> Bool {
            guard byPart.removeValue(forKey: part) != nil, byPart.isEmpty else { return false }
            logged = []
            return true
        }
    }

    private struct State {
        /// Of Redis as a whole.
        var outage = Causes()
        /// Of single keys.
        var refusals = Causes()
    }

    private let logger: Logger
    private let state = Mutex(State())

    init(logger: Logger) { self.logger = logger }

    func begins(_ error: RedisError, in part: Part) {
        let isOfOneKey = error.prefix == "WRONGTYPE"
        let cause = Self.cause(error)
        let isNew = state.withLock { state in
            isOfOneKey ? state.refusals.add("\(part) \(cause)", of: part) : state.outage.add(cause, of: part)
        }
        guard isNew else { return }
        let message: Logger.Message = isOfOneKey ? "Redis refused a command for jobs" : "Redis unavailable: jobs paused"
        logger.warning(message, metadata: ["error": "\(error)"])
    }

    func isOver(in part: Part) {
        let isOver = state.withLock { state in
            _ = state.refusals.remove(part)
            return state.outage.remove(part)
        }
        if isOver { logger.info("Redis available again: jobs resumed") }
    }

    /// Equal for errors that are one outage: a lost connection fails some commands before they are sent and some after.
    private static func cause(_ error: RedisError) -> String { error.prefix.map(String.init) ?? "no answer" }
}
