import ChatCore
package import Metrics
import Synchronization

/// The memory that clients take by being slow: bodies that have not arrived to their end, and answers that are not read.
///
/// Past a quarter of it pages of messages are small, so that a few who read nothing do not take it from all. Past the
/// whole, what would need more is refused until somebody reads or is closed (`ConnectionLimits`).
package final class ByteBudget: Sendable {
    /// Ends who reads a body for which there is no room, as an error.
    struct Spent: Error {}

    private let used = Atomic(0)
    private let bound: Int
    private let meter: Meter

    /// - Parameter bound: in bytes.
    package init(bound: Int, factory: any MetricsFactory) {
        self.bound = bound
        self.meter = Meter(label: "luciq_http_held_bytes", factory: factory)
    }

    var isSpent: Bool { used.load(ordering: .relaxed) >= bound }

    /// The page as large as it may be now.
    ///
    /// - Throws: `ChatError.overloaded`.
    func bounded(_ page: Page) throws(ChatError) -> Page {
        let used = used.load(ordering: .relaxed)
        guard used < bound else { throw .overloaded }
        var page = page
        if used >= bound / 4 { page.bytes = Page.smallBytes }
        return page
    }

    func take(_ bytes: Int) { change(by: bytes) }

    func giveBack(_ bytes: Int) { change(by: -bytes) }

    private func change(by bytes: Int) {
        guard bytes != 0 else { return }
        used.add(bytes, ordering: .relaxed)
        meter.increment(by: Double(bytes))
    }
}
