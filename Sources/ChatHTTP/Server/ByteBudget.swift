import ChatCore
package import Metrics
import Synchronization

/// The memory that clients take by being slow: heads, bodies and WebSocket messages that have not arrived to their end, and
/// answers that are not read.
///
/// A client's address has a share of it (`FairShare`), so that one that sends and reads nothing does not take it from all.
/// A client that holds much gets small pages of messages; one that has as much as is left is refused what would need more,
/// until it reads or is closed (`ConnectionLimits`). What is small is never refused.
package final class ByteBudget: Sendable {
    /// Thrown to the reader of a body for which there is no room.
    struct Spent: Error {}

    /// Bytes of a connection that are let through whatever is held.
    static let small = 16 << 10

    private let held: Mutex<FairShare<ClientAddress>>
    private let meter: Meter

    /// - Parameter bound: in bytes.
    package init(bound: Int, factory: any MetricsFactory) {
        self.held = Mutex(FairShare(bound: bound))
        self.meter = Meter(label: "luciq_http_held_bytes", factory: factory)
    }

    /// Whether the client may hold no more.
    func isSpent(for client: ClientAddress) -> Bool { held.withLock { $0.room(for: client) <= 0 } }

    /// The page as large as it may be now, and the memory set aside for it until the answer is made.
    ///
    /// - Throws: `Problem.slowClients`.
    func bounded(_ page: Page, for client: ClientAddress) throws(Problem) -> (page: Page, memory: HeldBytes) {
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

    /// - Parameter bytes: that are held more, or less.
    func change(by bytes: Int, of client: ClientAddress) {
        guard bytes != 0 else { return }
        held.withLock { if bytes > 0 { $0.hold(bytes, of: client) } else { $0.give(client, -bytes) } }
        meter.increment(by: Double(bytes))
    }
}

/// Bytes that are held for as long as this is.
final class HeldBytes: Sendable {
    private let bytes: Int
    private let client: ClientAddress
    private let budget: ByteBudget
    private let isReleased = Atomic(false)

    /// - Parameter bytes: that are counted already.
    fileprivate init(held bytes: Int, of client: ClientAddress, in budget: ByteBudget) {
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
