package import Logging

/// All errors of the use cases.
///
/// `code` is part of the API: clients switch on it, so never rename one.
package enum ChatError: Error, Equatable, Sendable {
    /// It does not exist or belongs to another tenant: clients cannot tell which.
    case notFound
    /// The principal lacks the permission.
    case notAllowed
    /// The application is suspended, for everyone but the server's own keys.
    case suspended
    /// The user's role in the chat does not allow it.
    case insufficientRole
    /// A user's own message is too old for the user to change it.
    case editWindowClosed
    /// The message was deleted.
    case messageDeleted
    /// The message has all the reactions that it may have, or that one user may add (`ReactionSummary`).
    case tooManyReactions
    /// The chat has all the pins that it may have (`Pin.most`).
    case tooManyPins
    /// The message's revision is not one that the request expects; it is this now.
    case changedMeanwhile(Message)
    /// The cursor is not of this store, as it is now: the client has to load anew, from this one on.
    case cursorEpoch(Cursor)
    /// The user's read number is not the one that the request expects; it is this now.
    case readElsewhere(Int64)
    /// The chat does not show its members how far others have read.
    case receiptsOff
    /// The application does not show which of its users are online.
    case presenceOff
    /// The chat has too many members to show how far they have read.
    case tooManyReaders
    /// The request shows no credentials, or none that are accepted.
    case unauthorized(Refusal)
    /// The user of a valid token is blocked.
    case userBlocked
    /// The request shows credentials that disagree.
    case ambiguousCredentials
    /// The input is invalid; one sentence for each rule, worded as in the Rails application.
    case invalid([String])
    /// A request with the same idempotency key has not been answered yet.
    case keyInFlight
    /// The idempotency key was used before with another body.
    case keyReused
    /// A limit of the server was reached. Nothing was stored.
    case overloaded
    /// The principal, its application or its address has done as much as it may for now. Nothing was stored.
    case quotaExceeded(Quota)
    /// The deadline passed before the request reached the store. Nothing was stored.
    case timedOut
    /// The deadline passed during the write: it may still be stored.
    case outcomeUnknown
    /// A search took too long.
    ///
    /// - Parameter passed: a search of a chat goes on after this number, in its direction; nil if it passed none.
    case searchTimedOut(passed: Int64?)
    /// The store cannot do it now; `reason` is for people, without SQL or paths. Nothing was stored.
    case unavailable(reason: String)
    /// The process is shutting down. Nothing was stored.
    case shuttingDown

    /// The application has `ApplicationKey.most` keys.
    package static let tooManyKeys = ChatError.invalid([
        "An application has at most \(ApplicationKey.most) keys, with those revoked in the last 30 days"
    ])

    /// The application has `StoredTokenKey.most` keys for user tokens.
    package static let tooManyTokenKeys = ChatError.invalid([
        "An application has at most \(StoredTokenKey.most) keys for user tokens that are not revoked"
    ])

    package var code: String {
        switch self {
        case .notFound: "not_found"
        case .notAllowed: "insufficient_scope"
        case .suspended: "application_suspended"
        case .insufficientRole: "insufficient_role"
        case .editWindowClosed: "edit_window_closed"
        case .messageDeleted: "message_deleted"
        case .tooManyReactions: "too_many_reactions"
        case .tooManyPins: "too_many_pins"
        case .changedMeanwhile: "precondition_failed"
        case .cursorEpoch: "cursor_epoch"
        case .readElsewhere: "read_number_changed"
        case .receiptsOff: "receipts_off"
        case .tooManyReaders: "too_many_readers"
        case .presenceOff: "presence_off"
        case .unauthorized(let refusal): refusal.code
        case .userBlocked: "user_blocked"
        case .ambiguousCredentials: "ambiguous_credentials"
        case .invalid: "invalid"
        case .keyInFlight: "idempotency_key_in_flight"
        case .keyReused: "idempotency_key_reused"
        case .overloaded: "overloaded"
        case .quotaExceeded: "quota-exceeded"
        case .timedOut: "timed_out"
        case .outcomeUnknown: "outcome_unknown"
        case .searchTimedOut: "search_timeout"
        case .unavailable: "unavailable"
        case .shuttingDown: "shutting_down"
        }
    }

    /// Whether a retry of the same request may succeed.
    package var mayRetry: Bool {
        switch self {
        case .notFound, .notAllowed, .insufficientRole, .suspended, .unauthorized, .userBlocked, .ambiguousCredentials,
            .invalid, .keyReused, .editWindowClosed, .messageDeleted, .tooManyReactions, .tooManyPins,
            .changedMeanwhile, .cursorEpoch, .readElsewhere, .receiptsOff, .tooManyReaders, .presenceOff:
            false
        case .keyInFlight, .overloaded, .quotaExceeded, .timedOut, .outcomeUnknown, .searchTimedOut, .unavailable,
            .shuttingDown:
            true
        }
    }
}

extension ChatError {
    init(_ refusal: UserTokenRefusal) {
        self = refusal == .blocked ? .userBlocked : .unauthorized(.userToken(refusal))
    }

    /// Wraps a store's error: a driver's own error means nothing to a client.
    init(store error: any Error) { self = error as? ChatError ?? .unavailable(reason: "The store failed") }

    /// The error's text for a log; only the type of other errors, whose text may have SQL, values or a path.
    package static func forLog(_ error: any Error) -> Logger.MetadataValue {
        switch error {
        case ChatError.unavailable(let reason): .string(reason)
        case let error as ChatError: .string(error.code)
        default: .string(String(reflecting: type(of: error)))
        }
    }
}
