import Synchronization

/// How many streams of each owner are open in this process.
package final class StreamSlots: Sendable {
    typealias Bound = (policy: String, owner: String, most: Int)

    /// How long a client that was refused is told to wait, in microseconds: nobody knows when a stream ends.
    private static let wait: Int64 = 5_000_000

    private let open = Mutex<[String: Int]>([:])

    /// - Throws: `ChatError.quotaExceeded` if one owner has as many as it may.
    func take(_ bounds: [Bound]) throws(ChatError) -> Slot {
        let exceeded = open.withLock { open in
            let exceeded = bounds.filter { (open[$0.owner] ?? 0) >= $0.most }.map(\.policy)
            if exceeded.isEmpty { for bound in bounds { open[bound.owner, default: 0] += 1 } }
            return exceeded
        }
        guard exceeded.isEmpty else { throw .quotaExceeded(Quota(policies: exceeded, wait: Self.wait)) }
        return Slot(bounds.map(\.owner), in: self)
    }

    /// Owners with open streams.
    var owners: Int { open.withLock(\.count) }

    private func give(_ owners: [String]) {
        open.withLock { open in
            for owner in owners {
                let left = (open[owner] ?? 0) - 1
                open[owner] = left > 0 ? left : nil
            }
        }
    }

    /// An open stream, for as long as it lives.
    package final class Slot: Sendable {
        private let owners: [String]
        private let slots: StreamSlots

        fileprivate init(_ owners: [String], in slots: StreamSlots) {
            self.owners = owners
            self.slots = slots
        }

        deinit { slots.give(owners) }
    }
}
