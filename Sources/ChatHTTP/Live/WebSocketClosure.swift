import ChatCore

/// How a connection is ended from here.
struct WebSocketClosure: Error, Equatable {
    let code: CloseCode
    /// For people; at most 123 bytes, as a control frame has no more room.
    let reason: String

    static let goingAway = WebSocketClosure(code: .goingAway, reason: "This server is going away")
    static let binary = WebSocketClosure(code: .unsupportedData, reason: "Only text frames are understood")
    static let notUTF8 = WebSocketClosure(code: .invalidText, reason: "The text is not valid UTF-8")
    static let noPong = WebSocketClosure(code: .timedOut, reason: "No pong came in time")
    static let tooBig = WebSocketClosure(
        code: .tooLarge, reason: "A message may have \(WebSocketMessages.maxSize >> 10) KiB")
    static let late = WebSocketClosure(code: .timedOut, reason: "A message did not come whole in time")
    static let overloaded = WebSocketClosure(
        code: .overloaded, reason: "Too much memory is held for clients that send or read slowly; try again later")
    static let slowConsumer = WebSocketClosure(
        code: .slowConsumer, reason: "Too slow for what is new; reconnect and resume")
    static let revoked = WebSocketClosure(code: .tokenRevoked, reason: "The token was revoked")

    static func protocolError(_ reason: String) -> WebSocketClosure {
        WebSocketClosure(code: .protocolError, reason: reason)
    }

    /// Whether the client cannot be understood any further, its goodbye included.
    var isFailure: Bool {
        switch code {
        case .protocolError, .unsupportedData, .invalidText, .tooLarge, .overloaded: true
        case .goingAway, .slowConsumer, .tokenRevoked, .notFound: false
        case .timedOut: self == .late
        }
    }
}
