import ChatCore
import Testing

@testable import ChatJobs

@Suite struct WorkerStateTests {
    private let noon = Timestamp(microseconds: 0)

    private func jobs(_ count: Int) -> [FetchedJob] { (0..<count).map { FetchedJob(queue: 0, payload: [UInt8($0)]) } }

    /// One with that many slots, that is seen.
    private func state(_ slots: Int) -> WorkerState {
        var state = WorkerState(concurrency: slots, lastGrace: .seconds(3))
        state.present()
        return state
    }

    @Test func nothingIsTakenBeforeWeAreSeen() {
        var state = WorkerState(concurrency: 3, lastGrace: .seconds(3))
        #expect(state.next(now: .zero).isWait)
        state.present()
        #expect(state.next(now: .zero).fetch?.count == 3)
        state.absent(acknowledged: 0)
        #expect(state.next(now: .zero).isWait)
    }

    @Test func onlyFreeSlotsAreFilled() {
        var state = state(3)
        let started = state.fetched(jobs(2), asked: 3, acknowledged: 0, now: noon)
        // There were fewer jobs than free slots: the worker waits for new ones.
        #expect(state.isIdle)
        #expect(state.next(now: .zero).isWait)
        state.wake()
        #expect(state.next(now: .zero).fetch?.count == 1)
        _ = state.fetched(jobs(1), asked: 1, acknowledged: 0, now: noon)
        #expect(state.next(now: .zero).isWait)
        #expect(!state.isIdle)
        state.ended(started[0].id, isDone: true)
        let step = state.next(now: .zero).fetch
        #expect(step?.count == 1)
        #expect(step?.done.map(\.id) == [started[0].id])
    }

    @Test func whatEndsDuringAFetchIsAcknowledgedByTheNext() {
        var state = state(2)
        let started = state.fetched(jobs(2), asked: 2, acknowledged: 0, now: noon)
        state.ended(started[1].id, isDone: true)
        #expect(state.next(now: .zero).fetch?.done.map(\.id) == [started[1].id])
        state.ended(started[0].id, isDone: true)
        _ = state.fetched([], asked: 1, acknowledged: 1, now: noon)
        #expect(state.held.map(\.id) == [started[0].id])
        #expect(state.next(now: .zero).fetch?.done.map(\.id) == [started[0].id])
    }

    @Test func afterALostReplyComesAnAudit() {
        var state = state(2)
        let started = state.fetched(jobs(2), asked: 2, acknowledged: 0, now: noon)
        state.ended(started[0].id, isDone: true)
        _ = state.next(now: .zero)
        state.fetchFailed(isUnknown: true)
        #expect(state.next(now: .zero).isWait)
        state.wake()
        #expect(state.next(now: .zero).isAudit)
        state.audited()
        // The acknowledgement is sent again.
        #expect(state.next(now: .zero).fetch?.done.map(\.id) == [started[0].id])
        #expect(state.strays(among: jobs(3)) == [jobs(3)[2]])
        #expect(state.strays(among: jobs(1) + jobs(1)) == jobs(1))
    }

    @Test func aFailureThatIsCertainNeedsNoAudit() {
        var state = state(2)
        state.fetchFailed(isUnknown: false)
        #expect(state.next(now: .zero).isWait)
        state.wake()
        #expect(state.next(now: .zero).fetch?.count == 2)
    }

    @Test func quietAcknowledgesAndTakesNothing() {
        var state = state(2)
        let started = state.fetched(jobs(2), asked: 2, acknowledged: 0, now: noon)
        state.quiet()
        #expect(state.next(now: .zero).isWait)
        state.ended(started[0].id, isDone: true)
        let step = state.next(now: .zero).fetch
        #expect(step?.count == 0)
        #expect(step?.done.count == 1)
        _ = state.fetched([], asked: 0, acknowledged: 1, now: noon)
        #expect(state.next(now: .zero).isWait)
        #expect(!state.isIdle)
    }

    @Test func aStopWaitsForTheDeadlineThenCancelsThenEnds() {
        var state = state(2)
        let started = state.fetched(jobs(2), asked: 2, acknowledged: 0, now: noon)
        state.stop(deadline: .seconds(25))
        #expect(state.next(now: .seconds(24)).isWait)
        state.ended(started[0].id, isDone: true)
        #expect(state.next(now: .seconds(24)).fetch?.count == 0)
        _ = state.fetched([], asked: 0, acknowledged: 1, now: noon)
        #expect(state.next(now: .seconds(25)).isCancel)
        // A job that was told to end does not count as lost.
        state.suspect()
        #expect(state.next(now: .seconds(26)).isWait)
        var other = state
        other.ended(started[1].id, isDone: false)
        #expect(other.next(now: .seconds(26)).isEnd)
        #expect(state.next(now: .seconds(28)).isEnd)
    }

    @Test func aStopWithNothingInHandEndsAtOnce() {
        var idle = state(2)
        idle.stop(deadline: .seconds(25))
        #expect(idle.next(now: .zero).isEnd)
        // But not before the last acknowledgement, unless Redis stays away.
        var busy = state(2)
        let started = busy.fetched(jobs(1), asked: 2, acknowledged: 0, now: noon)
        busy.stop(deadline: .seconds(25))
        busy.ended(started[0].id, isDone: true)
        busy.fetchFailed(isUnknown: false)
        #expect(busy.next(now: .seconds(1)).isWait)
        #expect(busy.next(now: .seconds(25)).isCancel)
        #expect(busy.next(now: .seconds(25)).isEnd)
        #expect(busy.unacknowledged.count == 1)
    }

    @Test func aSecondStopMayOnlyHurry() {
        var state = state(1)
        _ = state.fetched(jobs(1), asked: 1, acknowledged: 0, now: noon)
        state.stop(deadline: .seconds(25))
        state.stop(deadline: .seconds(50))
        state.quiet()
        #expect(state.next(now: .seconds(25)).isCancel)
        var hurried = self.state(1)
        _ = hurried.fetched(jobs(1), asked: 1, acknowledged: 0, now: noon)
        hurried.stop(deadline: .seconds(25))
        hurried.stop(deadline: .seconds(1))
        #expect(hurried.next(now: .seconds(1)).isCancel)
    }
}

extension WorkerState.Step {
    fileprivate var fetch: (count: Int, done: [HeldJob])? {
        if case .fetch(let count, let done) = self { (count, done) } else { nil }
    }
    fileprivate var isWait: Bool { if case .wait = self { true } else { false } }
    fileprivate var isAudit: Bool { if case .audit = self { true } else { false } }
    fileprivate var isCancel: Bool { if case .cancel = self { true } else { false } }
    fileprivate var isEnd: Bool { if case .end = self { true } else { false } }
}

@Suite struct RetryRuleTests {
    @Test func theDelaysAreSidekiqs() {
        #expect(JobFailure.delay(0, jitter: 0, format: .v8) == .seconds(15))
        #expect(JobFailure.delay(2, jitter: 0, format: .v8) == .seconds(31))
        #expect(JobFailure.delay(24, jitter: 0, format: .v8) == .seconds(331_791))
        // From 8 on any second of 10 × (count + 1); before, a tenth of them.
        #expect(JobFailure.delay(2, jitter: 0.999, format: .v8) == .seconds(31 + 29))
        #expect(JobFailure.delay(2, jitter: 0.999, format: .v7) == .seconds(31 + 27))
        #expect(JobFailure.delay(2, jitter: 0.15, format: .v7) == .seconds(31 + 3))
        #expect(JobFailure.delay(.max, jitter: 0.5, format: .v8) > .seconds(1_000_000))
        #expect(JobFailure.delay(-1, jitter: 0, format: .v8) == .seconds(15))
    }

    @Test func aLongMessageIsCut() throws {
        let job = try JobPayload(Array("{\"class\":\"X\",\"args\":[]}".utf8))
        let failure = JobFailure(
            of: job, in: "q", error: Broken(description: String(repeating: "é", count: 20_000)), options: nil,
            format: .v8, now: Timestamp(microseconds: 0), jitter: 0)
        #expect(try JobPayload(failure.payload).string("error_message")?.count == 10_000)
    }

    /// zlib's format: a header, one stored block with its length and that length's complement, the text, Adler-32.
    @Test func theBacktraceIsZlib() {
        // python3 -c 'import zlib,base64;print(base64.b64encode(zlib.compress(b"[\"a\"]", 0)))'
        #expect(Backtrace.encode(["a"]) == "eAEBBQD6/1siYSJdBBgBXg==")
    }

    @Test func queuesWithWeights() throws {
        #expect(try WorkerConfiguration.Queue(parsing: "critical,2") == .init("critical", weight: 2))
        #expect(try WorkerConfiguration.Queue(parsing: "low") == .init("low"))
        for text in ["", ",2", "a,b", "a,1,2", "a,-1", "a,"] {
            #expect(throws: WorkerConfiguration.Invalid.self) { try WorkerConfiguration.Queue(parsing: text) }
        }
    }
}
