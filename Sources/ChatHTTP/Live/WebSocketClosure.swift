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
    static let slowConsumer = WebSocketClosure(
        code: .slowConsumer, reason: "Too slow for new messages; reconnect and resume")
    static let revoked = WebSocketClosure(code: .tokenRevoked, reason: "The token was revoked")

    static func protocolError(_ reason: String) -> WebSocketClosure {
        WebSocketClosure(code: .protocolError, reason: reason)
    }

    /// Whether the client's further input is not read, its close frame included.
    var isFailure: Bool {
        switch code {
        case .protocolError, .unsupportedData, .invalidText, .tooLarge, .overloaded: true
        case .goingAway, .slowConsumer, .tokenRevoked, .notFound: false
        case .timedOut: self == .late
        }
    }
}
