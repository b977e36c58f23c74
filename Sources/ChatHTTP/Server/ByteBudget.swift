import ChatCore
package import Metrics
import Synchronization

/// Bounds the memory that slow clients take: incomplete heads, bodies and WebSocket messages, and unread answers.
///
/// Each client's address has a share of it (`FairShare`), so that a client that sends without reading does not take it
/// all. A client that holds much memory gets small pages of messages. A client that holds as much as is left is refused
/// more, until it reads or is closed (`ConnectionLimits`). Small requests and answers are never refused.
package final class ByteBudget: Sendable {
    /// Bytes that a connection may always hold.
    static let small = 16 << 10

    private let held: Mutex<FairShare<IPAddress>>
    private let meter: Meter

    /// - Parameter bound: in bytes.
    package init(bound: Int, factory: any MetricsFactory) {
        self.held = Mutex(FairShare(bound: bound))
        self.meter = Meter(label: "luciq_http_held_bytes", factory: factory)
    }

    /// Whether the client has used up its share.
    func isSpent(for client: IPAddress) -> Bool { held.withLock { $0.room(for: client) <= 0 } }

    /// Bounds the page by the client's share, and reserves its memory until the answer is made.
    ///
    /// - Throws: `Problem.slowClients`.
    func bounded(_ page: Page, for client: IPAddress) throws(Problem) -> (page: Page, memory: HeldBytes) {
        var page = page
        let isSpent = held.withLock { held in
            guard held.room(for: client) > 0 else { return true }
            if !held.isSmall(client) { page.bytes = Page.smallBytes }
            held.hold(page.bytes, of: client)
            return false
        }
        guard !isSpent else { throw .slowClients }
        meter.increment(by: Double(page.bytes))
        return (page, HeldBytes(held: page.bytes, of: client, in: self))
    }

    /// - Parameter bytes: held in addition; negative to release some.
    func change(by bytes: Int, of client: IPAddress) {
        guard bytes != 0 else { return }
        held.withLock { if bytes > 0 { $0.hold(bytes, of: client) } else { $0.give(client, -bytes) } }
        meter.increment(by: Double(bytes))
    }
}

/// Counts bytes in the budget for as long as it lives.
final class HeldBytes: Sendable {
    private let bytes: Int
    private let client: IPAddress
    private let budget: ByteBudget
    private let isReleased = Atomic(false)

    /// - Parameter bytes: counted by the caller.
    fileprivate init(held bytes: Int, of client: IPAddress, in budget: ByteBudget) {
        self.bytes = bytes
        self.client = client
        self.budget = budget
    }

    deinit { release() }

    /// Gives them back before this ends. Doing so again does nothing.
    func release() {
        if !isReleased.exchange(true, ordering: .relaxed) { budget.change(by: -bytes, of: client) }
    }
}
