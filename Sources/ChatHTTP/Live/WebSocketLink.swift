import NIOCore

/// The state machine of one connection, without a socket or a clock: pings, and the closing handshake
/// (RFC 6455, 5.5 and 7).
struct WebSocketLink {
    enum Phase: Equatable {
        case open
        /// The server sent a close frame, and waits for the client's.
        case closing
        /// Both close frames were sent.
        case closed
    }

    enum Action: Equatable {
        case ping
        /// Send it, and wait a while for the client's.
        case close(WebSocketClosure)
        /// Send it back, then close the connection.
        case closeBack(UInt16?)
        case disconnect
    }

    private(set) var phase = Phase.open
    private var awaitsSound = false

    /// The client sent something.
    mutating func hear() { awaitsSound = false }

    /// Called at the interval of pings.
    ///
    /// - Parameter isReading: whether all received input has been read.
    mutating func tick(isReading: Bool) -> Action? {
        guard phase == .open, isReading else { return nil }
        if awaitsSound { return close(.noPong) }
        awaitsSound = true
        return .ping
    }

    /// - Returns: nil if the connection is closing already.
    mutating func close(_ closure: WebSocketClosure) -> Action? {
        guard phase == .open else { return nil }
        phase = .closing
        return .close(closure)
    }

    /// The client sent a close frame, and the frames before it are handled.
    mutating func receiveClose(_ code: UInt16?) -> Action? {
        defer { phase = .closed }
        switch phase {
        case .open: return .closeBack(code)
        case .closing: return .disconnect
        case .closed: return nil
        }
    }
}
