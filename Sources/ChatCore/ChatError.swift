import Logging

/// Everything that can go wrong in the product's own terms.
///
/// `code` is part of the HTTP contract: clients switch on it, so a code is never renamed.
package enum ChatError: Error, Equatable, Sendable {
    /// It does not exist, or it is another tenant's: clients cannot tell which.
    case notFound
    /// Whoever asks may not do this.
    case notAllowed
    /// The input broke rules; one sentence each, as the Rails application worded them.
    case invalid([String])
    /// A request with the same idempotency key has not been answered yet.
    case keyInFlight
    /// The idempotency key was used before with another body.
    case keyReused
    /// A queue is at its bound. Nothing was stored.
    case overloaded
    /// The deadline passed before the request reached the store. Nothing was stored.
    case timedOut
    /// The deadline passed while the store was at work: it may yet be stored.
    case outcomeUnknown
    /// The store cannot do it now; `reason` is for people, without SQL or paths. Nothing was stored.
    case unavailable(reason: String)
    /// The process is going away. Nothing was stored.
    case shuttingDown

    package var code: String {
        switch self {
        case .notFound: "not_found"
        case .notAllowed: "insufficient_scope"
        case .invalid: "invalid"
        case .keyInFlight: "idempotency_key_in_flight"
        case .keyReused: "idempotency_key_reused"
        case .overloaded: "overloaded"
        case .timedOut: "timed_out"
        case .outcomeUnknown: "outcome_unknown"
        case .unavailable: "unavailable"
        case .shuttingDown: "shutting_down"
        }
    }

    /// Whether the same request may succeed later.
    package var mayRetry: Bool {
        switch self {
        case .notFound, .notAllowed, .invalid, .keyReused: false
        case .keyInFlight, .overloaded, .timedOut, .outcomeUnknown, .unavailable, .shuttingDown: true
        }
    }
}

extension ChatError {
    /// What a store threw: a driver's own error says nothing to a client.
    init(store error: any Error) { self = error as? ChatError ?? .unavailable(reason: "The store failed") }

    /// The same for a log. Of another error only the type: its text may hold SQL, values or a path.
    static func forLog(_ error: any Error) -> Logger.MetadataValue {
        switch error {
        case ChatError.unavailable(let reason): .string(reason)
        case let error as ChatError: .string(error.code)
        default: .string(String(reflecting: type(of: error)))
        }
    }
}
