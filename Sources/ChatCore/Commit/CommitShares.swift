import DequeModule

/// The state of one lane.
struct CommitLane {
    let share: Int64?
    /// Its entries, oldest first. Some are no longer pending.
    var queue = Deque<UInt64>()
    var pending = 0
    var isInFlight = false
    var isHeld = false
    /// Its entries up to this one were passed over while it was blocked.
    var passedOver: UInt64 = 0

    init(share: Int64?) { self.share = share }

    var isBlocked: Bool { isInFlight || isHeld }
    /// Whether a batch of held lanes may take its entries.
    var isWaiting: Bool { isHeld && !isInFlight && pending > 0 }
    /// How many of its entries an ordinary batch must not take.
    var blocked: Int { isBlocked ? pending : 0 }
    var isIdle: Bool { pending == 0 && !isBlocked }
    var isOvergrown: Bool { queue.count > 2 * pending + 64 }
}

/// The waiting entries of each share, and the order of turns.
struct CommitShares {
    private struct Share {
        /// Entries in the order of arrival. Some are no longer pending.
        var queue = Deque<UInt64>()
        /// Lanes that are no longer blocked, and whose entries were passed over.
        var released = Deque<Int64>()
        var entries = 0
        var bytes = 0
        var isInTurn = false

        var hasTurns: Bool { !queue.isEmpty || !released.isEmpty }
    }

    private var shares: [Int64?: Share] = [:]
    private var turns = Deque<Int64?>()

    func pending(of share: Int64) -> (entries: Int, bytes: Int) {
        shares[share].map { ($0.entries, $0.bytes) } ?? (0, 0)
    }

    mutating func add(_ entries: Int, bytes: Int, to share: Int64?) {
        shares[share, default: Share()].entries += entries
        shares[share]!.bytes += bytes
        forgetIfIdle(share)
    }

    /// - Parameter isPending: tells which tickets to keep when most of the queue is stale.
    mutating func append(_ ticket: UInt64, to share: Int64?, isPending: (UInt64) -> Bool) {
        change(share) { state in
            state.queue.append(ticket)
            if state.queue.count > 2 * state.entries + 64 { state.queue.removeAll { !isPending($0) } }
        }
    }

    mutating func prepend(_ ticket: UInt64, to share: Int64?) { change(share) { $0.queue.prepend(ticket) } }

    mutating func release(_ lane: Int64, to share: Int64?) { change(share) { $0.released.append(lane) } }

    /// The share whose turn it is; nil if there is none.
    var turn: Int64?? { turns.first }

    /// - Parameter isOver: whether the share has no more entries.
    mutating func pass(isOver: Bool) {
        guard let share = turns.popFirst() else { return }
        if !isOver, shares[share]?.hasTurns == true { return turns.append(share) }
        shares[share]?.isInTurn = false
        forgetIfIdle(share)
    }

    func first(of share: Int64?) -> UInt64? { shares[share]?.queue.first }
    mutating func removeFirst(of share: Int64?) { shares[share]?.queue.removeFirst() }
    func firstReleased(of share: Int64?) -> Int64? { shares[share]?.released.first }
    mutating func removeFirstReleased(of share: Int64?) { shares[share]?.released.removeFirst() }

    private mutating func change(_ share: Int64?, _ body: (inout Share) -> Void) {
        body(&shares[share, default: Share()])
        guard !shares[share]!.isInTurn else { return }
        shares[share]!.isInTurn = true
        turns.append(share)
    }

    private mutating func forgetIfIdle(_ share: Int64?) {
        if let state = shares[share], state.entries == 0, !state.isInTurn, !state.hasTurns { shares[share] = nil }
    }
}

/// A batch while it is filled.
struct CommitLoad {
    let limits: CommitLimits
    private(set) var tickets: [UInt64] = []
    private var bytes = 0

    init(limits: CommitLimits) { self.limits = limits }

    /// - Returns: whether there was room.
    mutating func add(_ ticket: UInt64, bytes more: Int) -> Bool {
        guard tickets.count < limits.batchEntries, tickets.isEmpty || bytes + more <= limits.batchBytes else {
            return false
        }
        tickets.append(ticket)
        bytes += more
        return true
    }
}
