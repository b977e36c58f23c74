import NIOCore

/// What is here of a client's messages that have not come whole, or are not parsed or not stored yet: counted in the
/// process' budget, and waited for no longer than a body. Lives on the connection's event loop.
final class SocketIntake {
    private let client: ClientAddress
    private let budget: ByteBudget
    /// Of a frame that has not come whole.
    var undecoded = 0
    /// Of a message whose last frame has not come.
    var fragments = 0
    /// Of messages that have come.
    var whole = 0
    private var counted = 0
    /// When the message that has not come whole began; nil where there is none.
    private(set) var unfinishedSince: NIODeadline?

    init(client: ClientAddress, budget: ByteBudget) {
        self.client = client
        self.budget = budget
    }

    private var unfinished: Int { undecoded + fragments }

    /// To be called when what was read is dealt with.
    ///
    /// - Returns: whether the client may send no more of what it has begun.
    func count(now: NIODeadline) -> Bool {
        let bytes = unfinished + whole
        budget.change(by: bytes - counted, of: client)
        counted = bytes
        if unfinished == 0 { unfinishedSince = nil } else if unfinishedSince == nil { unfinishedSince = now }
        return unfinished > ByteBudget.small && budget.isSpent(for: client)
    }

    /// A message was begun anew, or the client could not send.
    func restart(now: NIODeadline) { if unfinishedSince != nil { unfinishedSince = now } }

    /// The connection is gone.
    func close() {
        (undecoded, fragments, whole) = (0, 0, 0)
        _ = count(now: .now())
    }
}

@available(*, unavailable)
extension SocketIntake: Sendable {}
