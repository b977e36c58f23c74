import NIOCore

/// The life of one connection, without a socket or a clock: whether the client is there, and the closing handshake
/// (RFC 6455, 5.5 and 7).
struct WebSocketLink {
    enum Phase: Equatable {
        case open
        /// A close frame was sent; the client's own is waited for.
        case closing
        /// Both were: there is nothing more to say.
        case closed
    }

    enum Action: Equatable {
        case ping
        /// Send it, and wait for the client's own for a while.
        case close(WebSocketClosure)
        /// Send it back, then close the connection.
        case closeBack(UInt16?)
        case disconnect
    }

    private(set) var phase = Phase.open
    private var awaitsSound = false

    /// Something came, whatever it was.
    mutating func hear() { awaitsSound = false }

    /// It is time for a ping.
    ///
    /// - Parameter isReading: whether what the client may have sent has been read.
    mutating func tick(isReading: Bool) -> Action? {
        guard phase == .open, isReading else { return nil }
        if awaitsSound { return close(.noPong) }
        awaitsSound = true
        return .ping
    }

    /// - Returns: nil when it is being closed already.
    mutating func close(_ closure: WebSocketClosure) -> Action? {
        guard phase == .open else { return nil }
        phase = .closing
        return .close(closure)
    }

    /// The client's close frame has been dealt with.
    mutating func receiveClose(_ code: UInt16?) -> Action? {
        defer { phase = .closed }
        switch phase {
        case .open: return .closeBack(code)
        case .closing: return .disconnect
        case .closed: return nil
        }
    }
}
