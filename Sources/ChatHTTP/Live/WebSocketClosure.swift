/// Why a connection is ended from here. The codes are part of the contract (RFC 6455, 7.4.1, and our own from 4000 on).
struct WebSocketClosure: Error, Equatable {
    let code: UInt16
    /// For people; at most 123 bytes, as a control frame has no more room.
    let reason: String

    static let goingAway = WebSocketClosure(code: 1001, reason: "This server is going away")
    static let binary = WebSocketClosure(code: 1003, reason: "Only text frames are understood")
    static let notUTF8 = WebSocketClosure(code: 1007, reason: "The text is not valid UTF-8")
    static let noPong = WebSocketClosure(code: 1008, reason: "No pong came in time")
    static let tooBig = WebSocketClosure(
        code: 1009, reason: "A message may have \(WebSocketMessages.maxSize >> 10) KiB")
    static let late = WebSocketClosure(code: 1008, reason: "A message did not come whole in time")
    static let overloaded = WebSocketClosure(
        code: 1013, reason: "Too much memory is held for clients that send or read slowly; try again later")
    static let slowConsumer = WebSocketClosure(code: 4001, reason: "Too slow for what is new; reconnect and resume")

    static func protocolError(_ reason: String) -> WebSocketClosure { WebSocketClosure(code: 1002, reason: reason) }

    /// Whether the client cannot be understood any further, its goodbye included.
    var isFailure: Bool { [1002, 1003, 1007, 1009, 1013].contains(code) || self == .late }

    /// All codes that are sent from here, but for a client's own that is sent back.
    static let codes: [UInt16] = [1001, 1002, 1003, 1007, 1008, 1009, 1013, 4001]
}
