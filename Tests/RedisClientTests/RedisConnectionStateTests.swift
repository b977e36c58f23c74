import NIOCore
import Testing

@testable import RedisClient

@Suite(.timeLimit(.minutes(2))) struct RedisConnectionStateTests {
    private typealias State = RedisConnectionState<String>

    private var state = State(limits: .init(commands: 10, bytes: 100))

    private func request(_ waiter: String, count: Int = 1, deadline: Int64 = 1, bytes: Int = 10) -> State.Request {
        State.Request(
            waiter: waiter, count: count, deadline: .uptimeNanoseconds(UInt64(deadline)),
            bytes: ByteBuffer(repeating: 0, count: bytes))
    }

    @Test mutating func onlyTheFirstOfTheQueueWakesTheWriter() throws {
        #expect(try state.enqueue(request("a")))
        #expect(try !state.enqueue(request("b")))
        #expect(state.write().count == 2)
        #expect(state.write().isEmpty)
        #expect(try state.enqueue(request("c")))
    }

    @Test mutating func whatIsNoRedisSaysSoToThoseWhoComeLate() throws {
        _ = try state.enqueue(request("a"))
        let error = RedisError.unusable(reason: "it is not a Redis")
        let outcomes = state.close(reason: "it is not a Redis", next: error)
        #expect(outcomes.count == 1)
        #expect(outcomes[0].replies == [.failure(error)])
        var late: RedisError?
        do throws(RedisError) { _ = try state.enqueue(request("b")) } catch { late = error }
        #expect(late == error)
    }

    @Test mutating func repliesGoToTheOldestFirst() throws {
        _ = try state.enqueue(request("a", count: 2))
        _ = try state.enqueue(request("b"))
        _ = state.write()
        #expect(state.receive([.success(.integer(1))]).finished.isEmpty)
        #expect(state.inFlight == 2)
        let (finished, unasked) = state.receive([.failure(.server("ERR no")), .success(.null)])
        #expect(finished.map(\.waiter) == ["a", "b"])
        #expect(finished[0].replies == [.success(.integer(1)), .failure(.server("ERR no"))])
        #expect(unasked == nil)
        #expect(state.inFlight == 0)
    }

    @Test mutating func aReplyThatNobodyAskedForIsToldApart() throws {
        // No reply is due for a command that is still queued.
        _ = try state.enqueue(request("a"))
        #expect(state.receive([.failure(.server("ERR max"))]).unasked == .failure(.server("ERR max")))
    }

    @Test mutating func bothBoundsHold() throws {
        _ = try state.enqueue(request("a", count: 10, bytes: 50))
        #expect(throws: RedisError.unavailable(reason: "too many commands are in flight")) {
            try state.enqueue(request("b"))
        }
        _ = state.write()
        _ = state.receive(Array(repeating: .success(.null), count: 10))
        _ = try state.enqueue(request("c", bytes: 95))
        #expect(throws: RedisError.self) { try state.enqueue(request("d", bytes: 6)) }
        _ = try state.enqueue(request("e", bytes: 5))
    }

    @Test mutating func closingTellsApartWhatWasWrittenAndWhatWasNot() throws {
        _ = try state.enqueue(request("written", count: 3))
        _ = try state.enqueue(request("also written"))
        _ = state.write()
        _ = state.receive([.success(.integer(1))])
        _ = try state.enqueue(request("queued", count: 2))
        let outcomes = state.close(reason: "gone", next: .tooLarge)
        #expect(outcomes.map(\.waiter) == ["written", "also written", "queued"])
        let unknown = RedisReply.failure(.outcomeUnknown(reason: "gone"))
        #expect(outcomes[0].replies == [.success(.integer(1)), .failure(.tooLarge), unknown])
        #expect(outcomes[1].replies == [unknown])
        #expect(outcomes[2].replies == Array(repeating: .failure(.unavailable(reason: "gone")), count: 2))
        #expect(state.close(reason: "again").isEmpty)
        #expect(state.write().isEmpty)
        #expect(throws: RedisError.unavailable(reason: "gone")) { try state.enqueue(request("late")) }
    }

    @Test mutating func oneSweepAtATimeFollowsTheOldest() throws {
        #expect(state.scheduleSweep() == nil)
        _ = try state.enqueue(request("a", deadline: 5))
        #expect(state.scheduleSweep() == nil)  // Not written yet.
        _ = try state.enqueue(request("b", deadline: 8))
        _ = state.write()
        #expect(state.scheduleSweep() == .uptimeNanoseconds(5))
        #expect(state.scheduleSweep() == nil)
        _ = state.receive([.success(.null)])
        #expect(state.sweep(now: .uptimeNanoseconds(5)) == .again(at: .uptimeNanoseconds(8)))
        #expect(state.sweep(now: .uptimeNanoseconds(8)) == .late)
        _ = state.receive([.success(.null)])
        #expect(state.sweep(now: .uptimeNanoseconds(9)) == .idle)
        // A command with less patience than the one before it.
        _ = try state.enqueue(request("c", deadline: 30))
        _ = try state.enqueue(request("d", deadline: 20))
        _ = state.write()
        #expect(state.scheduleSweep() == .uptimeNanoseconds(30))
        _ = state.receive([.success(.null)])
        #expect(state.scheduleSweep() == .uptimeNanoseconds(20))
    }

    @Test mutating func drainingEndsWithTheLastReply() throws {
        _ = try state.enqueue(request("a"))
        state.drain(reason: "shutdown")
        #expect(!state.isDrained)
        #expect(throws: RedisError.unavailable(reason: "shutdown")) { try state.enqueue(request("b")) }
        #expect(state.write().count == 1)
        _ = state.receive([.success(.null)])
        #expect(state.isDrained)
    }

    @Test mutating func aReplicaIsDrained() throws {
        _ = try state.enqueue(request("a", count: 2))
        _ = state.write()
        let readonly = RedisReply.failure(.server("READONLY You can't write against a read only replica."))
        _ = state.receive([readonly])
        #expect(state.closingReason == "the server has become a replica")
        #expect(!state.isDrained)
        #expect(state.receive([.success(.null)]).finished.first?.replies == [readonly, .success(.null)])
        #expect(state.isDrained)
    }
}
