/// Why the server ends a live connection: the code of a WebSocket's close frame (RFC 6455, 7.4.1, and our own from 4000
/// on). The last event of a stream has its name. Part of the API, like `ChatError.code`; docs/streams.md has the table.
package enum CloseCode: UInt16, CaseIterable, Sendable {
    case goingAway = 1001
    case protocolError = 1002
    case unsupportedData = 1003
    case invalidText = 1007
    case timedOut = 1008
    case tooLarge = 1009
    case overloaded = 1013
    case slowConsumer = 4001
    case tokenExpired = 4310
    case tokenRevoked = 4401
    case notAllowed = 4403
    case notFound = 4404
    case cursorEpoch = 4409

    package var name: String {
        switch self {
        case .goingAway: "going_away"
        case .protocolError: "protocol_error"
        case .unsupportedData: "unsupported_data"
        case .invalidText: "invalid_text"
        case .timedOut: "timed_out"
        case .tooLarge: "too_large"
        case .overloaded: "overloaded"
        case .slowConsumer: "slow_consumer"
        case .tokenExpired: "token_expired"
        case .tokenRevoked: "token_revoked"
        case .notAllowed: "not_allowed"
        case .notFound: "not_found"
        case .cursorEpoch: "cursor_epoch"
        }
    }

    /// Whether a client should reconnect with its last cursor. The range of our own codes tells it, so that clients can
    /// handle future codes.
    package var mayReconnect: Bool {
        switch self {
        case .goingAway, .timedOut, .overloaded: true
        case .protocolError, .unsupportedData, .invalidText, .tooLarge: false
        case .slowConsumer, .tokenExpired, .tokenRevoked, .notAllowed, .notFound, .cursorEpoch:
            (4000...4399).contains(rawValue)
        }
    }
}
