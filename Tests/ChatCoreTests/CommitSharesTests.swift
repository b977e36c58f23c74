import TestSupport
import Testing

@testable import ChatCore

/// How batches are shared, and how held lanes affect the others.
@Suite(.timeLimit(.minutes(1))) struct CommitSharesTests {
    private func queue(_ change: (inout CommitLimits) -> Void = { _ in }) -> CommitQueue<Item> {
        var limits = CommitLimits()
        limits.deadline = .seconds(5)
        change(&limits)
        return CommitQueue(limits: limits)
    }

    private func begin(_ queue: inout CommitQueue<Item>, now: Duration = .zero) throws -> CommitQueue<Item>.Batch {
        let batch = queue.startBatch(now: now)
        return try #require(batch)
    }

    @Test func sharesTakeTurns() throws {
        var queue = queue { $0.batchEntries = 4 }
        for index in 0..<100 { _ = try queue.enqueue(Item(name: "a\(index)", lane: 1, share: 1), now: .zero) }
        for index in 0..<2 { _ = try queue.enqueue(Item(name: "b\(index)", lane: 2, share: 2), now: .zero) }
        _ = try queue.enqueue(Item(name: "c0", lane: 3, share: 3), now: .zero)
        let first = try begin(&queue)
        #expect(first.entries.map(\.name) == ["a0", "b0", "c0", "a1"])
        queue.finish(first)
        #expect(try begin(&queue).entries.map(\.name) == ["b1", "a2", "a3", "a4"])
    }

    /// However much one application has waiting, there is room for the next, and the one after that.
    @Test func aFloodLeavesRoomForOthers() throws {
        var queue = queue {
            $0.pendingEntries = 1000
            $0.pendingBytes = 1 << 30
        }
        var accepted: [Int] = []
        for share in 1...4 as ClosedRange<Int64> {
            var count = 0
            while (try? queue.enqueue(Item(lane: share, share: share), now: .zero)) != nil { count += 1 }
            accepted.append(count)
        }
        #expect(accepted == [500, 250, 125, 63])
    }

    @Test func bytesAreSharedToo() throws {
        var queue = queue {
            $0.pendingBytes = 100
            $0.shareBytes = 10
        }
        _ = try queue.enqueue(Item(lane: 1, share: 1, bytes: 50), now: .zero)
        #expect(throws: ChatError.overloaded) { try queue.enqueue(Item(lane: 1, share: 1, bytes: 1), now: .zero) }
        _ = try queue.enqueue(Item(lane: 2, share: 2, bytes: 50), now: .zero)
    }

    @Test func aFewEntriesWaitForAYoungBatchOnly() throws {
        var queue = queue { $0.batchesInFlight = 2 }
        _ = try queue.enqueue(Item(name: "a", lane: 1), now: .zero)
        let first = try begin(&queue)
        _ = try queue.enqueue(Item(name: "b", lane: 2), now: .milliseconds(1))
        #expect(queue.nextStart == .milliseconds(20))
        #expect(!queue.mayStartBatch(now: .milliseconds(19)))
        #expect(queue.startBatch(now: .milliseconds(20))?.entries.map(\.name) == ["b"])
        // Time does not help entries that wait for their lane, nor entries when the maximum of batches is in flight.
        _ = try queue.enqueue(Item(name: "a2", lane: 1), now: .milliseconds(20))
        #expect(queue.nextStart == nil)
        _ = try queue.enqueue(Item(name: "c", lane: 3), now: .milliseconds(20))
        #expect(queue.nextStart == nil)
        queue.finish(first)
        #expect(queue.nextStart == .milliseconds(40))
    }

    @Test func aHeldLaneWaitsInABatchOfItsOwn() throws {
        var queue = queue()
        let ticket = try queue.enqueue(Item(name: "held", lane: 1, share: 1, key: "k"), now: .zero)
        _ = try queue.enqueue(Item(name: "a", lane: 2, share: 1), now: .zero)
        let both = try begin(&queue)
        queue.finish(both, held: [0])
        #expect(queue.pendingCount == 1)
        let apart = try begin(&queue)
        #expect(apart.tickets == [ticket])
        // The other lanes continue as if it were not there, and new entries of its lane wait.
        _ = try queue.enqueue(Item(name: "held 2", lane: 1, share: 1), now: .zero)
        _ = try queue.enqueue(Item(name: "b", lane: 2, share: 1), now: .zero)
        let beside = try begin(&queue)
        #expect(beside.entries.map(\.name) == ["b"])
        queue.finish(beside)
        #expect(queue.startBatch(now: .zero) == nil)
        #expect(throws: ChatError.keyInFlight) { try queue.enqueue(Item(lane: 1, share: 1, key: "k"), now: .zero) }
        queue.finish(apart, held: [0])
        let again = try begin(&queue)
        #expect(again.entries.map(\.name) == ["held", "held 2"])
        // Once it was stored it is a lane like any other.
        queue.finish(again)
        for (name, lane) in [("a", 1), ("b", 2)] {
            _ = try queue.enqueue(Item(name: name, lane: Int64(lane)), now: .zero)
        }
        #expect(try begin(&queue).entries.map(\.name) == ["a", "b"])
    }

    @Test func aHeldEntryIsGivenUpOnAtItsOwnDeadline() throws {
        var queue = queue()
        let ticket = try queue.enqueue(Item(lane: 1, key: "k"), now: .zero)
        let batch = try begin(&queue)
        queue.finish(batch, held: [0])
        #expect(queue.expire(now: .seconds(5)).unsent == [ticket])
        #expect(queue.isEmpty)
        // Its lane is remembered, and its key free.
        _ = try queue.enqueue(Item(name: "again", lane: 1, key: "k"), now: .seconds(6))
        _ = try queue.enqueue(Item(name: "b", lane: 2), now: .seconds(6))
        #expect(try begin(&queue, now: .seconds(6)).entries.map(\.name) == ["again"])
        #expect(try begin(&queue, now: .seconds(6)).entries.map(\.name) == ["b"])
        #expect(queue.expire(now: .seconds(20)).unsure.count == 2)
        queue.finish(batch, held: [0])
    }

    /// Any order of events: each entry is answered once, no lane is in two batches, a lane's entries are stored in their
    /// order, and nothing stays behind.
    @Test(arguments: 0..<40 as Range<UInt64>)
    func whateverHappensEachIsAnsweredOnce(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var queue = queue {
            $0.batchesInFlight = 3
            $0.batchEntries = 8
            $0.entriesBeside = 3
            $0.pendingEntries = 60
            $0.heldLanes = 2
        }
        var now = Duration.zero
        var flying: [CommitQueue<Item>.Batch] = []
        var open: Set<UInt64> = []
        var stored: [Int64: UInt64] = [:]
        for step in 0..<4000 {
            now += .milliseconds(Int.random(in: 0...30, using: &random))
            switch Int.random(in: 0..<(step < 3500 ? 10 : 5), using: &random) {
            case 0, 1:
                guard let batch = queue.startBatch(now: now) else { continue }
                let lanes = Set(batch.entries.compactMap(\.lane))
                for other in flying { #expect(lanes.isDisjoint(with: other.entries.compactMap(\.lane))) }
                #expect(!batch.tickets.isEmpty && batch.tickets.count <= 8)
                flying.append(batch)
            case 2, 3:
                guard let batch = flying.indices.randomElement(using: &random).map({ flying.remove(at: $0) }) else {
                    continue
                }
                let heldLanes = Set(
                    batch.entries.compactMap(\.lane).filter { _ in Int.random(in: 0..<4, using: &random) == 0 })
                let held = batch.entries.indices.filter { batch.entries[$0].lane.map(heldLanes.contains) ?? false }
                for (index, ticket) in batch.tickets.enumerated() where !held.contains(index) {
                    open.remove(ticket)
                    guard let lane = batch.entries[index].lane else { continue }
                    #expect(stored[lane, default: 0] < ticket)
                    stored[lane] = ticket
                }
                queue.finish(batch, held: held)
            case 4:
                let (unsent, unsure) = queue.expire(now: now)
                for ticket in unsent { #expect(open.remove(ticket) != nil) }
                // These may yet be stored, and have their answer.
                open.subtract(unsure)
            default:
                let lane = Int64.random(in: 0..<6, using: &random)
                let item = Item(lane: lane == 0 ? nil : lane, share: lane == 0 ? nil : lane % 3)
                if let ticket = try? queue.enqueue(item, now: now) { open.insert(ticket) }
            }
            #expect(queue.pendingCount + flying.reduce(0) { $0 + $1.tickets.count } >= open.count)
        }
        now += .seconds(60)
        open.subtract(queue.expire(now: now).unsent)
        for batch in flying {
            queue.finish(batch)
            open.subtract(batch.tickets)
        }
        #expect(queue.isEmpty && queue.pendingBytes == 0 && queue.nextDeadline == nil && open.isEmpty)
        #expect(queue.startBatch(now: now) == nil && queue.nextStart == nil)
    }
}
