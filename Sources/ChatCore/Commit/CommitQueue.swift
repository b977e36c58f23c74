import DequeModule

/// The state machine of the group commit, without a thread, a clock or a store. `GroupCommit` acts on its decisions.
///
/// An entry is *pending*, then *in flight* in one batch, then gone. If another transaction holds its rows, the store
/// returns the entry: it is pending again, and its lane is *held*. Entries of held lanes have batches of their own, one
/// at a time, beside the others, until the store accepts an entry of the lane. So a wait for a lock delays no other
/// lane.
///
/// A batch takes one entry of each share in turn, the oldest of a share first. The cost of an entry does not grow with
/// the number of waiting entries.
package struct CommitQueue<Entry: CommitEntry> {
    package typealias Ticket = UInt64

    package struct Batch {
        package let id: UInt64
        package let tickets: [Ticket]
        package let entries: [Entry]
        /// The earliest deadline of its entries.
        let deadline: Duration
    }

    private struct Slot {
        let entry: Entry
        let deadline: Duration
        var isPending = true
    }

    private struct Flight {
        let start: Duration
        let isHeld: Bool
    }

    package let limits: CommitLimits
    /// Pending entries, and those in flight whose deadline has not passed.
    private var slots: [Ticket: Slot] = [:]
    /// By age, and so by deadline. Some tickets are no longer in `slots`; the first one is.
    private var ages = Deque<Ticket>()
    private var shares = CommitShares()
    /// Pending entries of each address.
    private var clients: [IPAddress: Int] = [:]
    private var lanes: [Int64: CommitLane] = [:]
    /// Held lanes with pending entries that are not in flight.
    private var waitingLanes = Deque<Int64>()
    /// Held lanes, oldest first. Some are no longer held.
    private var heldLanes = Deque<Int64>()
    private var inFlight: [UInt64: Flight] = [:]
    /// The number of ordinary batches in flight: those that are not of held lanes.
    private var freeFlights = 0
    /// The number of pending entries in lanes that are in flight or held.
    private var blockedCount = 0
    private var claims: Set<CommitClaim> = []
    private(set) var lastTicket: Ticket = 0
    private var lastBatch: UInt64 = 0
    package private(set) var pendingCount = 0
    package private(set) var pendingBytes = 0
    package private(set) var isClosed = false

    package init(limits: CommitLimits) { self.limits = limits }

    package var isEmpty: Bool { pendingCount == 0 && inFlight.isEmpty }

    /// Accepts an entry, or refuses it.
    ///
    /// Beyond a minimum, a share may have as much waiting as is still free: one share may fill half of the queue, two
    /// may fill a third each. So there is always room for another share. One address may
    /// fill three quarters, whatever shares its entries belong to.
    package mutating func enqueue(_ entry: Entry, now: Duration) throws(ChatError) -> Ticket {
        guard !isClosed else { throw .shuttingDown }
        let owned = entry.share.map { shares.pending(of: $0) } ?? (entries: 0, bytes: 0)
        let (room, bytes) = (limits.pendingEntries - pendingCount, limits.pendingBytes - pendingBytes)
        guard room > 0, entry.bytes <= bytes, owned.entries < max(room, limits.shareEntries),
            owned.bytes + entry.bytes <= max(bytes, limits.shareBytes)
        else { throw .overloaded }
        if let client = entry.client, clients[client] ?? 0 >= limits.clientEntries { throw .overloaded }
        if let claim = entry.claim, !claims.insert(claim).inserted { throw .keyInFlight }
        lastTicket += 1
        slots[lastTicket] = Slot(entry: entry, deadline: now + limits.deadline)
        ages.append(lastTicket)
        join(entry)
        shares.append(lastTicket, to: entry.share) { [slots] in slots[$0]?.isPending == true }
        if let lane = entry.lane {
            change(lane, of: entry.share) { [lastTicket] in $0.queue.append(lastTicket) }
            if lanes[lane]!.isOvergrown { lanes[lane]!.queue.removeAll { [slots] in slots[$0]?.isPending != true } }
        }
        return lastTicket
    }

    /// Whether a batch may start now. O(1), because it runs for every entry and batch.
    package func mayStartBatch(now: Duration) -> Bool { mayStartHeld || mayStartFree(now: now) }

    private var mayStartHeld: Bool { !waitingLanes.isEmpty && inFlight.count == freeFlights }

    private func mayStartFree(now: Duration) -> Bool {
        guard isFreeToStart else { return false }
        return freeCount >= limits.entriesBeside || youngest.map { now - $0 >= limits.besideAfter } ?? true
    }

    /// When the next batch may start without another event; nil if time alone does not permit it.
    package var nextStart: Duration? {
        guard isFreeToStart, freeCount < limits.entriesBeside else { return nil }
        return youngest.map { $0 + limits.besideAfter }
    }

    private var isFreeToStart: Bool { freeCount > 0 && freeFlights < limits.batchesInFlight }
    /// The number of entries that an ordinary batch may take.
    private var freeCount: Int { pendingCount - blockedCount }
    /// When the last ordinary batch in flight started.
    private var youngest: Duration? {
        var youngest: Duration?
        for flight in inFlight.values where !flight.isHeld { youngest = max(youngest ?? flight.start, flight.start) }
        return youngest
    }

    /// The next batch to write; nil if none may start now.
    package mutating func startBatch(now: Duration) -> Batch? {
        let isHeld = mayStartHeld
        guard isHeld || mayStartFree(now: now) else { return nil }
        let taken = isHeld ? takeHeld() : takeFree()
        lastBatch += 1
        inFlight[lastBatch] = Flight(start: now, isHeld: isHeld)
        freeFlights += isHeld ? 0 : 1
        var entries: [Entry] = []
        entries.reserveCapacity(taken.count)
        var deadline = Duration.nanoseconds(Int64.max)
        for ticket in taken {
            let slot = slots[ticket]!
            entries.append(slot.entry)
            deadline = min(deadline, slot.deadline)
            if let lane = slot.entry.lane { change(lane, of: slot.entry.share) { $0.isInFlight = true } }
        }
        return Batch(id: lastBatch, tickets: taken, entries: entries, deadline: deadline)
    }

    /// Entries of free lanes, one of each share in turn.
    private mutating func takeFree() -> [Ticket] {
        var load = CommitLoad(limits: limits)
        while let share = shares.turn {
            guard let ticket = nextFree(of: share) else {
                shares.pass(isOver: true)
                continue
            }
            guard load.add(ticket, bytes: slots[ticket]!.entry.bytes) else { break }
            take(ticket)
            shares.pass(isOver: false)
        }
        return load.tickets
    }

    /// The oldest entry of a share whose lane is free.
    private mutating func nextFree(of share: Int64?) -> Ticket? {
        // First the entries that were passed over while their lane was blocked.
        while let lane = shares.firstReleased(of: share) {
            if let ticket = first(of: lane), ticket <= lanes[lane]!.passedOver, !lanes[lane]!.isBlocked {
                return ticket
            }
            shares.removeFirstReleased(of: share)
        }
        while let ticket = shares.first(of: share) {
            if let slot = slots[ticket], slot.isPending {
                guard let lane = slot.entry.lane, lanes[lane]!.isBlocked else { return ticket }
                lanes[lane]!.passedOver = max(lanes[lane]!.passedOver, ticket)
            }
            shares.removeFirst(of: share)
        }
        return nil
    }

    /// Entries of held lanes, the lane that has waited longest first.
    private mutating func takeHeld() -> [Ticket] {
        var load = CommitLoad(limits: limits)
        while let lane = waitingLanes.first {
            while let ticket = first(of: lane) {
                guard load.add(ticket, bytes: slots[ticket]!.entry.bytes) else { return load.tickets }
                take(ticket)
            }
            if waitingLanes.first == lane { waitingLanes.removeFirst() }
        }
        return load.tickets
    }

    /// The oldest pending entry of a lane.
    private mutating func first(of lane: Int64) -> Ticket? {
        while let ticket = lanes[lane]?.queue.first {
            if slots[ticket]?.isPending == true { return ticket }
            lanes[lane]!.queue.removeFirst()
        }
        return nil
    }

    private mutating func take(_ ticket: Ticket) {
        leave(slots[ticket]!.entry)
        slots[ticket]!.isPending = false
    }

    /// Forgets a batch that was written or failed, and frees its lanes and claims.
    ///
    /// - Parameter held: places in the batch of entries that were certainly not stored, because another transaction
    ///   holds their rows. They are pending again, unless their deadline has passed.
    package mutating func finish(_ batch: Batch, held: [Int] = []) {
        guard let flight = inFlight.removeValue(forKey: batch.id) else { return }
        freeFlights -= flight.isHeld ? 0 : 1
        let held = Set(held)
        // The newest first, because each is prepended.
        for (place, (ticket, entry)) in zip(batch.tickets, batch.entries).enumerated().reversed() {
            guard held.contains(place), slots[ticket] != nil else {
                slots[ticket] = nil
                if let claim = entry.claim { claims.remove(claim) }
                continue
            }
            slots[ticket]!.isPending = true
            join(entry)
            if let lane = entry.lane {
                change(lane, of: entry.share) { lane in
                    lane.queue.prepend(ticket)
                    lane.passedOver = max(lane.passedOver, ticket)
                }
            } else {
                shares.prepend(ticket, to: entry.share)
            }
        }
        let heldLanes = Set(held.compactMap { batch.entries[$0].lane })
        for entry in batch.entries {
            guard let lane = entry.lane, lanes[lane]?.isInFlight == true else { continue }
            let isHeld = heldLanes.contains(lane)
            if isHeld, lanes[lane]?.isHeld == false { self.heldLanes.append(lane) }
            change(lane, of: entry.share) { state in
                state.isInFlight = false
                state.isHeld = isHeld
            }
        }
        forgetOldestHeld()
        forgetOldest()
    }

    /// The earliest deadline; nil if nothing waits.
    package var nextDeadline: Duration? { ages.first.map { slots[$0]!.deadline } }

    /// Gives up on entries past their deadline.
    ///
    /// - Returns: the tickets of entries that never reached the store (they are removed), and of those in flight (their
    ///   batch goes on, and they keep their claim until it ends).
    package mutating func expire(now: Duration) -> (unsent: [Ticket], unsure: [Ticket]) {
        var (unsent, unsure): ([Ticket], [Ticket]) = ([], [])
        while let ticket = ages.first, let slot = slots[ticket], slot.deadline <= now {
            slots[ticket] = nil
            if slot.isPending {
                leave(slot.entry)
                if let claim = slot.entry.claim { claims.remove(claim) }
                if let lane = slot.entry.lane {
                    _ = first(of: lane)
                    change(lane, of: slot.entry.share) { _ in }
                }
                unsent.append(ticket)
            } else {
                unsure.append(ticket)
            }
            forgetOldest()
        }
        return (unsent, unsure)
    }

    /// Refuses new entries from now on; accepted ones stay.
    package mutating func close() { isClosed = true }

    private mutating func forgetOldest() { while let ticket = ages.first, slots[ticket] == nil { ages.removeFirst() } }

    /// Counts a new pending entry.
    private mutating func join(_ entry: Entry) {
        pendingCount += 1
        pendingBytes += entry.bytes
        shares.add(1, bytes: entry.bytes, to: entry.share)
        if let client = entry.client { clients[client, default: 0] += 1 }
        if let lane = entry.lane { change(lane, of: entry.share) { $0.pending += 1 } }
    }

    /// Stops counting an entry that is no longer pending.
    private mutating func leave(_ entry: Entry) {
        pendingCount -= 1
        pendingBytes -= entry.bytes
        shares.add(-1, bytes: -entry.bytes, to: entry.share)
        if let client = entry.client, let count = clients[client] { clients[client] = count > 1 ? count - 1 : nil }
        if let lane = entry.lane { change(lane, of: entry.share) { $0.pending -= 1 } }
    }

    private mutating func forgetOldestHeld() {
        while heldLanes.count > limits.heldLanes, let oldest = heldLanes.popFirst() {
            if let lane = lanes[oldest] { change(oldest, of: lane.share) { $0.isHeld = false } }
        }
    }

    /// Changes a lane's state, and the counts and queues that depend on it.
    private mutating func change(_ id: Int64, of share: Int64?, _ body: (inout CommitLane) -> Void) {
        // Out of the dictionary meanwhile, which would hold on to its queue and have it copied.
        var lane = lanes.removeValue(forKey: id) ?? CommitLane(share: share)
        let (wasBlocked, wasWaiting) = (lane.isBlocked, lane.isWaiting)
        blockedCount -= lane.blocked
        body(&lane)
        blockedCount += lane.blocked
        if wasBlocked, !lane.isBlocked, lane.pending > 0, lane.passedOver > 0 { shares.release(id, to: lane.share) }
        if lane.isWaiting != wasWaiting {
            if lane.isWaiting {
                waitingLanes.append(id)
            } else if waitingLanes.first == id {
                waitingLanes.removeFirst()
            } else {
                waitingLanes.removeAll { $0 == id }
            }
        }
        lanes[id] = lane.isIdle ? nil : lane
    }
}
