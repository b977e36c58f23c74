import ChatCore
import NIOCore

/// Counts the bytes of a client's messages that are incomplete, not parsed or not stored yet, in the process' budget,
/// and notes since when one is incomplete. Lives on the connection's event loop.
final class SocketIntake {
    let client: IPAddress
    private let budget: ByteBudget
    /// Bytes of an incomplete frame.
    var undecoded = 0
    /// Bytes of a message whose last frame has not arrived.
    var fragments = 0
    /// Bytes of complete messages.
    var whole = 0
    private var counted = 0
    /// When the incomplete message began; nil if there is none.
    private(set) var unfinishedSince: NIODeadline?

    init(client: IPAddress, budget: ByteBudget) {
        self.client = client
        self.budget = budget
    }

    private var unfinished: Int { undecoded + fragments }

    /// Call it after each read.
    ///
    /// - Returns: whether there is no memory left for the incomplete message.
    func count(now: NIODeadline) -> Bool {
        let bytes = unfinished + whole
        budget.change(by: bytes - counted, of: client)
        counted = bytes
        if unfinished == 0 { unfinishedSince = nil } else if unfinishedSince == nil { unfinishedSince = now }
        return unfinished > ByteBudget.small && budget.isSpent(for: client)
    }

    /// Restarts the time-out: another message has begun, or the server did not read.
    func restart(now: NIODeadline) { if unfinishedSince != nil { unfinishedSince = now } }

    /// Releases everything: the connection is closed.
    func close() {
        (undecoded, fragments, whole) = (0, 0, 0)
        _ = count(now: .now())
    }
}

@available(*, unavailable)
extension SocketIntake: Sendable {}
