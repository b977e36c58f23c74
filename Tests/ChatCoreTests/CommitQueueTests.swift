import Testing

@testable import ChatCore

/// An entry for tests.
struct Item: CommitEntry, Equatable {
    var name: String = ""
    var lane: Int64?
    var share: Int64?
    var bytes = 1
    var key: String?

    var claim: CommitClaim? { key.map { CommitClaim(scope: lane ?? 0, key: $0) } }
}

@Suite(.timeLimit(.minutes(1))) struct CommitQueueTests {
    private func queue(_ change: (inout CommitLimits) -> Void = { _ in }) -> CommitQueue<Item> {
        var limits = CommitLimits()
        limits.deadline = .seconds(5)
        change(&limits)
        return CommitQueue(limits: limits)
    }

    @Test func anEntryAloneIsABatchAtOnce() throws {
        var queue = queue()
        let ticket = try queue.enqueue(Item(name: "a"), now: .zero)
        let batch = try queue.begin()
        #expect(batch.tickets == [ticket])
        #expect(batch.entries.map(\.name) == ["a"])
        #expect(queue.startBatch(now: .zero) == nil)
    }

    @Test func whatComesDuringABatchIsTheNextOneInOrder() throws {
        var queue = queue()
        _ = try queue.enqueue(Item(name: "a"), now: .zero)
        let first = try queue.begin()
        for name in ["b", "c", "d"] { _ = try queue.enqueue(Item(name: name), now: .zero) }
        #expect(queue.startBatch(now: .zero) == nil)
        queue.finish(first)
        #expect(queue.startBatch(now: .zero)?.entries.map(\.name) == ["b", "c", "d"])
    }

    @Test func aBatchIsBoundedInEntries() throws {
        var queue = queue { $0.batchEntries = 2 }
        for name in ["a", "b", "c"] { _ = try queue.enqueue(Item(name: name), now: .zero) }
        let first = try queue.begin()
        #expect(first.entries.map(\.name) == ["a", "b"])
        queue.finish(first)
        #expect(queue.startBatch(now: .zero)?.entries.map(\.name) == ["c"])
    }

    @Test func aBatchIsBoundedInBytesButOneEntryAlwaysFits() throws {
        var queue = queue { $0.batchBytes = 10 }
        for bytes in [30, 4, 6, 1] { _ = try queue.enqueue(Item(bytes: bytes), now: .zero) }
        var sizes: [[Int]] = []
        while let batch = queue.startBatch(now: .zero) {
            sizes.append(batch.entries.map(\.bytes))
            queue.finish(batch)
        }
        #expect(sizes == [[30], [4, 6], [1]])
        #expect(queue.pendingBytes == 0)
        #expect(queue.isEmpty)
    }

    @Test func pendingIsBoundedInEntries() throws {
        var queue = queue { $0.pendingEntries = 2 }
        _ = try queue.enqueue(Item(), now: .zero)
        _ = try queue.enqueue(Item(), now: .zero)
        #expect(throws: ChatError.overloaded) { try queue.enqueue(Item(), now: .zero) }
        _ = queue.startBatch(now: .zero)
        _ = try queue.enqueue(Item(), now: .zero)
    }

    @Test func pendingIsBoundedInBytes() throws {
        var queue = queue { $0.pendingBytes = 10 }
        _ = try queue.enqueue(Item(bytes: 8), now: .zero)
        #expect(throws: ChatError.overloaded) { try queue.enqueue(Item(bytes: 3), now: .zero) }
        _ = try queue.enqueue(Item(bytes: 2), now: .zero)
    }

    @Test func oneLaneIsNeverInTwoBatches() throws {
        var queue = queue {
            $0.batchesInFlight = 2
            $0.batchEntries = 2
            $0.entriesBeside = 1
        }
        for (name, lane) in [("a1", 1), ("a2", 1), ("a3", 1), ("b1", 2), ("a4", 1), ("c1", 3)] {
            _ = try queue.enqueue(Item(name: name, lane: Int64(lane)), now: .zero)
        }
        let first = try queue.begin()
        let second = try queue.begin()
        #expect(first.entries.map(\.name) == ["a1", "a2"])
        #expect(second.entries.map(\.name) == ["b1", "c1"])
        #expect(queue.startBatch(now: .zero) == nil)
        queue.finish(first)
        #expect(queue.startBatch(now: .zero)?.entries.map(\.name) == ["a3", "a4"])
    }

    @Test func aFewEntriesWaitForTheBatchInFlight() throws {
        var queue = queue {
            $0.batchesInFlight = 2
            $0.entriesBeside = 3
        }
        func enqueue(_ name: String, lane: Int64) throws {
            _ = try queue.enqueue(Item(name: name, lane: lane), now: .zero)
        }
        try enqueue("a1", lane: 1)
        let first = try queue.begin()
        try enqueue("b1", lane: 2)
        try enqueue("c1", lane: 3)
        // Entries of a busy lane do not count towards a second batch.
        try enqueue("a2", lane: 1)
        #expect(!queue.mayStartBatch(now: .zero) && queue.startBatch(now: .zero) == nil)
        try enqueue("d1", lane: 4)
        #expect(queue.mayStartBatch(now: .zero))
        #expect(queue.startBatch(now: .zero)?.entries.map(\.name) == ["b1", "c1", "d1"])
        queue.finish(first)
        try enqueue("e1", lane: 5)
        #expect(!queue.mayStartBatch(now: .zero))
        #expect(queue.expire(now: .seconds(9)).unsent.count == 2)
        #expect(!queue.mayStartBatch(now: .zero))
        try enqueue("a3", lane: 1)
        try enqueue("a4", lane: 1)
        try enqueue("a5", lane: 1)
        #expect(queue.startBatch(now: .zero)?.entries.map(\.name) == ["a3", "a4", "a5"])
    }

    @Test func aClaimIsHeldUntilItsBatchEnds() throws {
        var queue = queue()
        _ = try queue.enqueue(Item(lane: 1, key: "k"), now: .zero)
        _ = try queue.enqueue(Item(lane: 2, key: "k"), now: .zero)
        #expect(throws: ChatError.keyInFlight) { try queue.enqueue(Item(lane: 1, key: "k"), now: .zero) }
        let batch = try queue.begin()
        _ = queue.expire(now: .seconds(9))
        #expect(throws: ChatError.keyInFlight) { try queue.enqueue(Item(lane: 1, key: "k"), now: .zero) }
        queue.finish(batch)
        _ = try queue.enqueue(Item(lane: 1, key: "k"), now: .zero)
    }

    @Test func aRefusedEntryHoldsNoClaim() throws {
        var queue = queue { $0.pendingEntries = 1 }
        _ = try queue.enqueue(Item(lane: 1), now: .zero)
        #expect(throws: ChatError.overloaded) { try queue.enqueue(Item(lane: 1, key: "k"), now: .zero) }
        _ = queue.startBatch(now: .zero)
        _ = try queue.enqueue(Item(lane: 1, key: "k"), now: .zero)
    }

    @Test func deadlinesSplitIntoUnsentAndUnsure() throws {
        var queue = queue()
        let first = try queue.enqueue(Item(), now: .seconds(0))
        let second = try queue.enqueue(Item(), now: .seconds(1))
        let batch = try queue.begin()
        let third = try queue.enqueue(Item(key: "k"), now: .seconds(2))
        #expect(queue.nextDeadline == .seconds(5))
        let early = queue.expire(now: .seconds(5))
        #expect(early.unsent.isEmpty)
        #expect(early.unsure == [first])
        #expect(queue.nextDeadline == .seconds(6))
        let late = queue.expire(now: .seconds(7))
        #expect(late.unsent == [third])
        #expect(late.unsure == [second])
        #expect(queue.nextDeadline == nil)
        #expect(queue.pendingBytes == 0)
        // No entry is answered twice, and the key of the entry that was never sent is free again.
        #expect(queue.expire(now: .seconds(8)).unsure.isEmpty)
        _ = try queue.enqueue(Item(key: "k"), now: .seconds(8))
        queue.finish(batch)
    }

    @Test func closedTakesNothingAndKeepsWhatIsIn() throws {
        var queue = queue()
        _ = try queue.enqueue(Item(name: "a"), now: .zero)
        queue.close()
        #expect(throws: ChatError.shuttingDown) { try queue.enqueue(Item(), now: .zero) }
        #expect(!queue.isEmpty)
        queue.finish(try queue.begin())
        #expect(queue.isEmpty)
    }
}

extension CommitQueue {
    /// The next batch; a failed test when there is none.
    fileprivate mutating func begin() throws -> Batch {
        let batch = startBatch(now: .zero)
        return try #require(batch)
    }
}
