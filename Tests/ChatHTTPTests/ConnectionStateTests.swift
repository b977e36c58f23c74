import Testing

@testable import ChatHTTP

/// The state machine without a socket.
@Suite(.timeLimit(.minutes(3))) struct ConnectionStateTests {
    private var limits: ConnectionLimits {
        var limits = ConnectionLimits()
        limits.idle = .seconds(60)
        limits.body = .seconds(30)
        limits.write = .seconds(20)
        return limits
    }

    @Test func deadlinesFollowThePhases() {
        var state = ConnectionState(limits: limits, now: .zero)
        #expect(state.deadline == .seconds(60))
        state.begin(isLast: false, awaitsBody: true, now: .seconds(10))
        #expect(state.deadline == .seconds(40))
        state.hasBody()
        #expect(state.deadline == nil)
        state.setWritable(false, now: .seconds(12))
        #expect(state.deadline == .seconds(32))
        state.setWritable(true, now: .seconds(13))
        #expect(state.answered(isLast: false, isWhole: true, now: .seconds(15)) == .request)
        #expect(state.deadline == .seconds(75))
        // The write time-out comes before the idle time-out.
        state.setWritable(false, now: .seconds(16))
        #expect(state.deadline == .seconds(36))
    }

    @Test func aClosingAnswerIsTheLast() {
        var state = ConnectionState(limits: limits, now: .zero)
        state.begin(isLast: false, awaitsBody: false, now: .zero)
        #expect(!state.isLastAnswer)
        #expect(state.answered(isLast: true, isWhole: true, now: .zero) == .linger)
        #expect(state.isLingering)
        #expect(state.deadline == ConnectionState.linger)
    }

    /// Until a slow client has read the last answer, the write time-out counts, not `linger`.
    @Test func lingeringBeginsWhenTheClientHasRead() {
        var state = ConnectionState(limits: limits, now: .zero)
        state.begin(isLast: true, awaitsBody: false, now: .zero)
        state.setWritable(false, now: .zero)
        #expect(state.answered(isLast: true, isWhole: true, now: .zero) == .linger)
        #expect(state.deadline == .seconds(20))
        state.setWritable(true, now: .seconds(19))
        #expect(state.deadline == .seconds(19) + ConnectionState.linger)
    }

    @Test func theLastRequestHasTheLastAnswer() {
        var state = ConnectionState(limits: limits, now: .zero)
        state.begin(isLast: true, awaitsBody: false, now: .zero)
        #expect(state.isLastAnswer)
        #expect(state.answered(isLast: false, isWhole: true, now: .zero) == .linger)
    }

    @Test func aShutdownMakesTheNextAnswerTheLast() {
        var state = ConnectionState(limits: limits, now: .zero)
        state.begin(isLast: false, awaitsBody: false, now: .zero)
        state.quiesce()
        #expect(state.isLastAnswer)
        #expect(state.answered(isLast: false, isWhole: true, now: .zero) == .linger)
    }

    @Test func aBodyThatEndsAfterTheAnswerStartsTheIdleTime() {
        var state = ConnectionState(limits: limits, now: .zero)
        state.begin(isLast: false, awaitsBody: false, now: .zero)
        #expect(state.answered(isLast: false, isWhole: false, now: .seconds(1)) == .request)
        #expect(!state.isIdle)
        #expect(state.deadline == .seconds(31))
        state.hasDiscardedBody(now: .seconds(2))
        #expect(state.isIdle)
        #expect(state.deadline == .seconds(62))
    }

    @Test func whatHasLeftHTTPIsWaitedForOnlyWhileItDoesNotRead() {
        var state = ConnectionState(limits: limits, now: .zero)
        state.begin(isLast: true, awaitsBody: false, now: .zero)
        state.depart()
        #expect(state.hasDeparted && state.deadline == nil)
        state.setWritable(false, now: .seconds(100))
        #expect(state.deadline == .seconds(120))
    }
}
