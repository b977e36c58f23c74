import ChatCore
import MySQLClient
import Scheduling

/// Decides how often and how long to retry.
struct Retry {
    private let deadline: ContinuousClock.Instant
    private var backoff = Backoff(first: .milliseconds(5), longest: .milliseconds(250))

    init(patience: Duration) { self.deadline = .now + patience }

    /// The rest of the patience; never negative.
    var remaining: Duration { max(.zero, deadline - .now) }

    /// Waits a little if waiting helps.
    ///
    /// - Returns: whether to retry: the error is transient, and there is time left.
    mutating func mayGoOn(after error: MySQLError) async -> Bool {
        guard error.mayPass, remaining > .zero else { return false }
        if error.passesAtOnce { return true }
        // A cancelled task does not retry.
        do { try await Task.sleep(for: min(backoff.pause(), remaining)) } catch { return false }
        return true
    }
}

extension MySQLError {
    var isDuplicate: Bool { if case .duplicateKey = kind { true } else { false } }

    /// Whether the transaction may have been committed despite the error. Any error of a `COMMIT`, except a conflict or
    /// a read-only server, may come after the commit: a server that is told to kill a statement, a connection or itself
    /// reports the error even then, and so does a Galera node that is cut off while the others decide.
    var leavesInDoubt: Bool {
        switch kind {
        case .deadlock, .readOnly: false
        default: isOfCommit
        }
    }

    /// Whether to retry without a wait, because the retry first looks up the conflict.
    fileprivate var passesAtOnce: Bool {
        switch kind {
        case .duplicateKey, .foreignKey: true
        default: false
        }
    }

    /// Whether a retry may succeed a moment later.
    fileprivate var mayPass: Bool {
        switch kind {
        case .duplicateKey, .foreignKey, .deadlock, .lockTimeout, .readOnly, .tooManyConnections, .diskFull,
            .shuttingDown, .interrupted, .cannotConnect, .connectionLost, .poolExhausted, .notReady, .commitFailed:
            true
        // A retry finds out whether it is stored.
        case .accessDenied, .unknownDatabase, .noSuchTable, .closed, .packetTooLarge, .other: leavesInDoubt
        }
    }
}

extension ChatError {
    /// Wraps an error of the driver. SQL, hosts and values stay out of it: a client may see the reason.
    init(driver error: MySQLError) {
        let reason =
            switch error.kind {
            case .cannotConnect, .connectionLost, .shuttingDown, .closed: "The database cannot be reached"
            case .tooManyConnections, .poolExhausted: "The database has no connection free"
            case .readOnly: "The database cannot be written"
            case .notReady, .commitFailed: "The database's node is not ready"
            case .packetTooLarge: "The database takes no packet of this size (max_allowed_packet)"
            case .diskFull: "The database's disk is full"
            case .deadlock, .lockTimeout, .interrupted: "The database is too busy"
            default: "The database failed (MySQL error \(error.number))"
            }
        self = .unavailable(reason: reason)
    }
}

extension MySQLPool {
    /// One access on one connection. Any error but a `MySQLError` is a bug.
    func run<Result: Sendable>(
        within time: Duration, _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws(MySQLError) -> Result {
        do {
            return try await withConnection(timeout: time, body)
        } catch let error as MySQLError {
            throw error
        } catch {
            throw MySQLError(.other, String(describing: error), number: 0)
        }
    }
}
