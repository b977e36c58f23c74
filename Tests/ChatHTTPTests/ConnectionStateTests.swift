import HTTPTypes
import NIOHTTPTypes
import Testing

@testable import ChatHTTP

/// The decisions alone, with no socket.
@Suite(.timeLimit(.minutes(3))) struct ConnectionStateTests {
    private let head = HTTPRequestPart.head(.init(method: .get, scheme: nil, authority: nil, path: "/"))
    private let answer = HTTPResponsePart.head(.init(status: .ok))
    private let closingAnswer = HTTPResponsePart.head(.init(status: .ok, headerFields: [.connection: "close"]))

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
        _ = state.read(head, now: .seconds(10))
        #expect(state.deadline == .seconds(40))
        _ = state.read(.end(nil), now: .seconds(11))
        #expect(state.deadline == nil)
        state.setWritable(false, now: .seconds(12))
        #expect(state.deadline == .seconds(32))
        state.setWritable(true, now: .seconds(13))
        _ = state.write(answer, now: .seconds(14))
        _ = state.write(.end(nil), now: .seconds(15))
        #expect(state.deadline == .seconds(75))
    }

    @Test func aClosingAnswerIsTheLast() {
        var state = ConnectionState(limits: limits, now: .zero)
        _ = state.read(head, now: .zero)
        #expect(state.write(closingAnswer, now: .zero) == .write)
        #expect(state.write(.end(nil), now: .zero) == .writeAndLinger)
        #expect(state.write(answer, now: .zero) == .drop)
        #expect(state.deadline == ConnectionState.linger)
    }

    @Test func nonsenseIsAnsweredAfterWhatCameBefore() {
        var state = ConnectionState(limits: limits, now: .zero)
        for _ in 0..<2 {
            _ = state.read(head, now: .zero)
            _ = state.read(.end(nil), now: .zero)
        }
        #expect(state.breakOff(now: .zero) == .wait)
        #expect(state.breakOff(now: .zero) == .wait)
        #expect(state.write(.end(nil), now: .zero) == .write)
        #expect(state.write(.end(nil), now: .zero) == .writeAndRefuse)
        #expect(state.breakOff(now: .zero) == .wait)
    }

    @Test func nonsenseAloneIsAnsweredAtOnce() {
        var state = ConnectionState(limits: limits, now: .zero)
        #expect(state.breakOff(now: .zero) == .refuse)
        #expect(state.write(answer, now: .zero) == .drop)
    }

    @Test func aBodyThatEndsAfterTheAnswerStartsTheIdleTime() {
        var state = ConnectionState(limits: limits, now: .zero)
        _ = state.read(head, now: .zero)
        _ = state.write(answer, now: .seconds(1))
        #expect(state.write(.end(nil), now: .seconds(1)) == .write)
        #expect(state.deadline == .seconds(30))
        _ = state.read(.end(nil), now: .seconds(2))
        #expect(state.deadline == .seconds(62))
    }

    @Test func nonsenseInABodyIsLeftToItsRequest() {
        var state = ConnectionState(limits: limits, now: .zero)
        _ = state.read(head, now: .zero)
        #expect(state.breakOff(now: .zero) == .pass)
    }
}
