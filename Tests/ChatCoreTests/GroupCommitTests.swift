import Logging
import Metrics
import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// A store whose batches end when the test says so.
private final class HeldStore: Sendable {
    private struct State {
        var batches: [[Item]] = []
        var times: [Duration] = []
        var held: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    var batches: [[String]] { state.withLock { $0.batches.map { $0.map(\.name) } } }

    /// The time that each one was given.
    var times: [Duration] { state.withLock(\.times) }

    /// Holds the batch until `release`; then every entry's outcome is its name, or a failure if it is named so.
    func write(_ batch: [Item], within time: Duration) async throws -> [Result<String, ChatError>] {
        await withCheckedContinuation { hold in
            state.withLock { state in
                state.batches.append(batch)
                state.times.append(time)
                state.held.append(hold)
            }
        }
        if batch.count > 1, batch.contains(where: { $0.name == "held" }) {
            return batch.map { $0.name == "held" ? .failure(.held) : .success($0.name) }
        }
        if batch.contains(where: { $0.name == "broken batch" }) { throw ChatError.unavailable(reason: "broken") }
        return batch.map { $0.name == "broken" ? .failure(.notFound) : .success($0.name) }
    }

    /// Returns when that many batches were begun.
    func waitForBatches(_ count: Int) async throws {
        try await eventually("\(count) batches") { state.withLock { $0.batches.count >= count } }
    }

    /// Ends the oldest batch that is held.
    func release() { state.withLock { $0.held.isEmpty ? nil : $0.held.removeFirst() }?.resume() }
}

@Suite(.timeLimit(.minutes(1))) struct GroupCommitTests {
    private let store = HeldStore()
    private let clock = TestClock()

    private func writer(_ change: (inout CommitLimits) -> Void = { _ in }) -> GroupCommit<Item, String> {
        var limits = CommitLimits()
        limits.deadline = .seconds(5)
        change(&limits)
        return GroupCommit(
            name: "test", limits: limits, time: Timekeeper(clock),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, metrics: NOOPMetricsHandler.instance
        ) { [store] in try await store.write($0, within: $1) }
    }

    /// Submits and returns once the entry is in the queue.
    private func submit(
        _ name: String, to writer: GroupCommit<Item, String>, lane: Int64? = nil
    ) async -> Task<String, any Error> {
        let before = writer.accepted
        let task = Task { try await writer.submit(Item(name: name, lane: lane)) }
        while writer.accepted == before { await Task.yield() }
        return task
    }

    /// A store that retried for longer would leave the oldest entry with an unknown outcome for no reason.
    @Test func aBatchHasTheTimeOfItsOldestEntry() async throws {
        let writer = writer()
        let first = await submit("a", to: writer)
        try await store.waitForBatches(1)
        let old = await submit("b", to: writer)
        clock.advance(by: .seconds(3))
        let new = await submit("c", to: writer)
        store.release()
        try await store.waitForBatches(2)
        #expect(store.batches == [["a"], ["b", "c"]])
        // Four fifths, so that the answer is in time.
        #expect(store.times == [.seconds(4), .milliseconds(1600)])
        store.release()
        for task in [first, old, new] { _ = try await task.value }
    }

    @Test func aLoneRequestDoesNotWaitForTime() async throws {
        let writer = writer()
        let task = await submit("a", to: writer)
        try await store.waitForBatches(1)  // The clock has not moved.
        store.release()
        #expect(try await task.value == "a")
    }

    @Test func oneBatchForAllThatCameMeanwhile() async throws {
        let writer = writer()
        let first = await submit("0", to: writer)
        try await store.waitForBatches(1)
        var tasks: [Task<String, any Error>] = []
        for index in 1...20 { tasks.append(await submit("\(index)", to: writer)) }
        store.release()
        try await store.waitForBatches(2)
        store.release()
        #expect(try await first.value == "0")
        for (index, task) in tasks.enumerated() { #expect(try await task.value == "\(index + 1)") }
        #expect(store.batches == [["0"], (1...20).map(String.init)])
    }

    @Test func eachGetsItsOwnOutcome() async throws {
        let writer = writer()
        let first = await submit("a", to: writer)
        try await store.waitForBatches(1)
        let good = await submit("good", to: writer)
        let broken = await submit("broken", to: writer)
        store.release()
        try await store.waitForBatches(2)
        store.release()
        #expect(try await first.value == "a")
        #expect(try await good.value == "good")
        await #expect(throws: ChatError.notFound) { try await broken.value }
    }

    @Test func whatTheStoreGivesBackIsTriedApart() async throws {
        let writer = writer()
        let first = await submit("a", to: writer)
        try await store.waitForBatches(1)
        let held = await submit("held", to: writer, lane: 1)
        let other = await submit("b", to: writer, lane: 2)
        store.release()
        try await store.waitForBatches(2)
        store.release()
        #expect(try await other.value == "b")
        try await store.waitForBatches(3)
        // While it is tried, others are written.
        let third = await submit("c", to: writer, lane: 3)
        try await store.waitForBatches(4)
        #expect(store.batches == [["a"], ["held", "b"], ["held"], ["c"]])
        store.release()
        store.release()
        #expect(try await held.value == "held")
        _ = try await (first.value, third.value)
    }

    @Test func aLoneRequestDoesNotWaitForABatchThatTakesLong() async throws {
        let writer = writer { $0.batchesInFlight = 2 }
        let slow = await submit("slow", to: writer, lane: 1)
        try await store.waitForBatches(1)
        let next = await submit("next", to: writer, lane: 2)
        try await clock.waitForSleepers(2)
        clock.advance(by: .milliseconds(20))
        try await store.waitForBatches(2)
        store.release()
        store.release()
        _ = try await (slow.value, next.value)
    }

    @Test func aFailedBatchFailsItsEntriesAndNoOthers() async throws {
        let writer = writer()
        let broken = await submit("broken batch", to: writer)
        try await store.waitForBatches(1)
        let next = await submit("next", to: writer)
        store.release()
        try await store.waitForBatches(2)
        store.release()
        await #expect(throws: ChatError.unavailable(reason: "broken")) { try await broken.value }
        #expect(try await next.value == "next")
    }

    @Test func pastTheBoundIsRefusedAtOnce() async throws {
        let writer = writer { $0.pendingEntries = 1 }
        let first = await submit("a", to: writer)
        try await store.waitForBatches(1)
        let second = await submit("b", to: writer)
        await #expect(throws: ChatError.overloaded) { try await writer.submit(Item(name: "c")) }
        store.release()
        try await store.waitForBatches(2)
        store.release()
        _ = try await (first.value, second.value)
        #expect(store.batches == [["a"], ["b"]])
    }

    @Test func theDeadlineAnswersWhileTheStoreBlocks() async throws {
        let writer = writer()
        let sent = await submit("sent", to: writer)
        try await store.waitForBatches(1)
        let waiting = await submit("waiting", to: writer)
        try await clock.waitForSleepers(1)
        clock.advance(by: .seconds(6))
        await #expect(throws: ChatError.outcomeUnknown) { try await sent.value }
        await #expect(throws: ChatError.timedOut) { try await waiting.value }
        // The store comes back: an expired entry is not written, and the next one is served.
        store.release()
        let next = await submit("next", to: writer)
        try await store.waitForBatches(2)
        store.release()
        #expect(try await next.value == "next")
        #expect(store.batches == [["sent"], ["next"]])
    }

    @Test func drainRefusesTheNewAndFinishesTheOld() async throws {
        let writer = writer()
        let first = await submit("a", to: writer)
        try await store.waitForBatches(1)
        let second = await submit("b", to: writer)
        let drain = Task { await writer.drain() }
        while !writer.isClosed { await Task.yield() }
        await #expect(throws: ChatError.shuttingDown) { try await writer.submit(Item(name: "c")) }
        store.release()
        try await store.waitForBatches(2)
        store.release()
        await drain.value
        #expect(try await first.value == "a")
        #expect(try await second.value == "b")
    }

    @Test func aCancelledRequestIsStillWritten() async throws {
        let writer = writer()
        let task = await submit("a", to: writer)
        task.cancel()
        try await store.waitForBatches(1)
        store.release()
        #expect(try await task.value == "a")
    }

    @Test func fourThousandAtOnceAreAllAnsweredOnce() async throws {
        var limits = CommitLimits()
        limits.deadline = .seconds(60)  // A slow machine may take its time.
        let free = GroupCommit<Item, String>(
            name: "test", limits: limits, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            metrics: NOOPMetricsHandler.instance
        ) { batch, _ in batch.map { .success($0.name) } }
        let answers = try await withThrowingTaskGroup(of: String.self) { group in
            for index in 0..<4000 { group.addTask { try await free.submit(Item(name: "\(index)")) } }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(answers.count == 4000)
    }

    /// Only accepted entries take memory.
    @Test func twentyThousandRefusalsLeaveNothingBehind() async throws {
        let writer = writer { $0.pendingEntries = 5 }
        var accepted = [await submit("first", to: writer)]
        try await store.waitForBatches(1)
        for index in 0..<5 { accepted.append(await submit("\(index)", to: writer)) }
        for _ in 0..<20_000 {
            await #expect(throws: ChatError.overloaded) { try await writer.submit(Item(name: "refused")) }
        }
        #expect(writer.accepted == 6)
        store.release()
        try await store.waitForBatches(2)
        store.release()
        for task in accepted { _ = try await task.value }
        #expect(store.batches == [["first"], (0..<5).map { "\($0)" }])
    }
}
