import DequeModule

/// Something that waits to be committed.
package protocol CommitEntry: Sendable {
    /// Entries of one lane are never in two batches at the same time, so that they stay in order. Nil: no order needed.
    var lane: Int64? { get }
    /// What it weighs against the bounds, in bytes.
    var bytes: Int { get }
    /// At most one entry with the same claim is waiting or being committed.
    var claim: CommitClaim? { get }
}

/// The idempotency key of a request in hand.
package struct CommitClaim: Hashable, Sendable {
    package let scope: Int64
    package let key: String

    package init(scope: Int64, key: String) {
        self.scope = scope
        self.key = key
    }
}

/// The bounds of a group commit.
package struct CommitLimits: Sendable {
    /// Entries a batch.
    package var batchEntries = 512
    /// Bytes a batch; one entry always fits.
    package var batchBytes = 4 << 20
    /// Batches being written at the same time.
    package var batchesInFlight = 1
    /// Entries that must wait before a batch is started beside another one. Fewer are quicker off with company: they wait
    /// until one in flight has ended.
    package var entriesBeside = 32
    /// Entries that wait, those being written not counted.
    package var pendingEntries = 8192
    /// Bytes that wait.
    package var pendingBytes = 16 << 20
    /// How long a request waits for its outcome.
    package var deadline = Duration.seconds(5)

    package init() {}
}

/// The group commit's decisions, without a thread, a clock or a store (`GroupCommit` acts on them).
///
/// An entry is *pending*, then *in flight* in one batch, then gone. Deadlines are all equally far away, so both the
/// pending queue and the batches in flight are sorted by deadline, and looking at the front is enough.
package struct CommitQueue<Entry: CommitEntry> {
    package typealias Ticket = UInt64

    package struct Batch {
        package let id: UInt64
        package let tickets: [Ticket]
        package let entries: [Entry]
    }

    private struct Slot {
        let ticket: Ticket
        let entry: Entry
        let deadline: Duration
    }

    private struct Flight {
        let slots: [Slot]
        /// How many of the slots, from the front, were given up on.
        var expired = 0

        var nextDeadline: Duration? { expired < slots.count ? slots[expired].deadline : nil }
    }

    package let limits: CommitLimits
    private var pending = Deque<Slot>()
    private var inFlight: [UInt64: Flight] = [:]
    private var busyLanes: Set<Int64> = []
    private var pendingByLane: [Int64: Int] = [:]
    /// Pending entries of busy lanes.
    private var blockedCount = 0
    private var claims: Set<CommitClaim> = []
    private(set) var lastTicket: Ticket = 0
    private var lastBatch: UInt64 = 0
    package private(set) var pendingBytes = 0
    package private(set) var isClosed = false

    package init(limits: CommitLimits) { self.limits = limits }

    package var pendingCount: Int { pending.count }
    package var isEmpty: Bool { pending.isEmpty && inFlight.isEmpty }

    /// Takes an entry in, or says why not.
    package mutating func enqueue(_ entry: Entry, now: Duration) throws(ChatError) -> Ticket {
        guard !isClosed else { throw .shuttingDown }
        guard pending.count < limits.pendingEntries, pendingBytes + entry.bytes <= limits.pendingBytes else {
            throw .overloaded
        }
        if let claim = entry.claim, !claims.insert(claim).inserted { throw .keyInFlight }
        lastTicket += 1
        pending.append(Slot(ticket: lastTicket, entry: entry, deadline: now + limits.deadline))
        pendingBytes += entry.bytes
        if let lane = entry.lane {
            pendingByLane[lane, default: 0] += 1
            if busyLanes.contains(lane) { blockedCount += 1 }
        }
        return lastTicket
    }

    /// Whether a batch may start now. O(1), because it is asked at every turn.
    package var mayStartBatch: Bool {
        let free = pending.count - blockedCount
        return inFlight.isEmpty ? free > 0 : inFlight.count < limits.batchesInFlight && free >= limits.entriesBeside
    }

    /// The next batch to write, oldest entries first; nil when nothing may start now.
    package mutating func startBatch() -> Batch? {
        guard mayStartBatch else { return nil }
        var taken: [Slot] = []
        var passedOver: [Slot] = []
        var bytes = 0
        while taken.count < limits.batchEntries, let slot = pending.first {
            if !taken.isEmpty, bytes + slot.entry.bytes > limits.batchBytes { break }
            pending.removeFirst()
            if let lane = slot.entry.lane, busyLanes.contains(lane) {
                passedOver.append(slot)
            } else {
                bytes += slot.entry.bytes
                taken.append(slot)
            }
        }
        pending.prepend(contentsOf: passedOver)
        for slot in taken { leave(slot) }
        for lane in taken.lazy.compactMap(\.entry.lane) where busyLanes.insert(lane).inserted {
            blockedCount += pendingByLane[lane] ?? 0
        }
        lastBatch += 1
        inFlight[lastBatch] = Flight(slots: taken)
        return Batch(id: lastBatch, tickets: taken.map(\.ticket), entries: taken.map(\.entry))
    }

    /// Forgets a batch that was written, or that failed. Its lanes and claims are free again.
    package mutating func finish(_ batch: Batch) {
        guard let flight = inFlight.removeValue(forKey: batch.id) else { return }
        for slot in flight.slots { release(slot) }
    }

    /// The moment of the next `expire` that can change something; nil when nothing waits.
    package var nextDeadline: Duration? {
        let flying = inFlight.values.lazy.compactMap(\.nextDeadline).min()
        return [pending.first?.deadline, flying].compactMap(\.self).min()
    }

    /// Gives up on what is past its deadline.
    ///
    /// - Returns: the tickets of entries that never reached the store (they are gone), and of those in a batch being
    ///   written (it goes on, and they keep their claim until it ends).
    package mutating func expire(now: Duration) -> (unsent: [Ticket], unsure: [Ticket]) {
        var unsent: [Ticket] = []
        while let slot = pending.first, slot.deadline <= now {
            pending.removeFirst()
            leave(slot)
            if let claim = slot.entry.claim { claims.remove(claim) }
            unsent.append(slot.ticket)
        }
        var unsure: [Ticket] = []
        for id in inFlight.keys {
            while let deadline = inFlight[id]!.nextDeadline, deadline <= now {
                unsure.append(inFlight[id]!.slots[inFlight[id]!.expired].ticket)
                inFlight[id]!.expired += 1
            }
        }
        return (unsent, unsure)
    }

    /// Refuses new entries from now on; what is in stays in.
    package mutating func close() { isClosed = true }

    /// Takes a slot that is no longer pending out of the sums.
    private mutating func leave(_ slot: Slot) {
        pendingBytes -= slot.entry.bytes
        guard let lane = slot.entry.lane else { return }
        let count = pendingByLane[lane, default: 0] - 1
        pendingByLane[lane] = count > 0 ? count : nil
        if busyLanes.contains(lane) { blockedCount -= 1 }
    }

    private mutating func release(_ slot: Slot) {
        if let lane = slot.entry.lane, busyLanes.remove(lane) != nil { blockedCount -= pendingByLane[lane] ?? 0 }
        if let claim = slot.entry.claim { claims.remove(claim) }
    }
}
