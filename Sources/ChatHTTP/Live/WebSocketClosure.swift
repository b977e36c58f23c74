import ChatCore

/// Why the server closes a WebSocket.
struct WebSocketClosure: Error, Equatable {
    let code: CloseCode
    /// For people; at most 123 bytes, the limit of a close frame.
    let reason: String

    static let goingAway = WebSocketClosure(code: .goingAway, reason: "This server is shutting down")
    static let binary = WebSocketClosure(code: .unsupportedData, reason: "Only text frames are supported")
    static let notUTF8 = WebSocketClosure(code: .invalidText, reason: "The text is not valid UTF-8")
    static let noPong = WebSocketClosure(code: .timedOut, reason: "No pong came in time")
    static let tooBig = WebSocketClosure(
        code: .tooLarge, reason: "A message may have at most \(WebSocketMessages.maxSize >> 10) KiB")
    static let late = WebSocketClosure(code: .timedOut, reason: "A message did not arrive completely in time")
    static let overloaded = WebSocketClosure(
        code: .overloaded, reason: "Too much memory is held for clients that send or read slowly; try again later")
    static let crowded = WebSocketClosure(
        code: .overloaded, reason: "There are too many connections like this one; try again later")
    static let slowConsumer = WebSocketClosure(
        code: .slowConsumer, reason: "Too slow for new messages; reconnect and resume")
    static let revoked = WebSocketClosure(code: .tokenRevoked, reason: "The token was revoked")

    static let expired = WebSocketClosure(
        code: .tokenExpired, reason: "The token has expired; reconnect with a new one")
    static let anotherUser = WebSocketClosure(code: .notAllowed, reason: "The token is of another user or application")

    static let noToken = WebSocketClosure(
        code: .tokenRevoked, reason: "The first message must show a token, within 5 seconds")
    static let cursorEpoch = WebSocketClosure(
        code: .cursorEpoch, reason: "The cursor is beyond what the chat has; load it anew")
    static let blocked = WebSocketClosure(code: .notAllowed, reason: "This user is blocked")
    static let suspended = WebSocketClosure(code: .notAllowed, reason: "This application is suspended")

    static func protocolError(_ reason: String) -> WebSocketClosure {
        WebSocketClosure(code: .protocolError, reason: reason)
    }

    /// Whether the client's further input is not read, its close frame included.
    var isFailure: Bool {
        switch code {
        case .protocolError, .unsupportedData, .invalidText, .tooLarge, .overloaded: true
        case .goingAway, .slowConsumer, .tokenExpired, .tokenRevoked, .notAllowed, .notFound, .cursorEpoch: false
        case .timedOut: self == .late
        }
    }
}

extension WebSocketClosure {
    /// - Parameter end: of the connection's opening.
    init(_ end: StreamEnd) {
        switch end {
        case .expired: self = .expired
        case .blocked: self = .blocked
        default: self = .revoked
        }
    }

    /// - Parameter error: why credentials are refused; nil for one that says nothing about them.
    init?(refusing error: any Error) {
        switch error as? ChatError {
        case .unauthorized(.userToken(.expired)): self = .expired
        case .unauthorized(let refusal):
            self.init(code: .tokenRevoked, reason: String(refusal.detail.prefix(120)))
        case .userBlocked: self = .blocked
        case .notAllowed: self = .anotherUser
        case .suspended: self = .suspended
        case .notFound, .ambiguousCredentials:
            self.init(code: .notFound, reason: "There is no such application")
        default: return nil
        }
    }
}
