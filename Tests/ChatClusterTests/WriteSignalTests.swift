import ChatCore
import Synchronization
import TestSupport
import Testing

@testable import ChatCluster

/// Servers that search learn that another one stores many messages.
@Suite(.timeLimit(.minutes(1))) struct WriteSignalTests {
    @Test func onlyManyMessagesAreASign() {
        let clock = TestClock()
        let signs = Mutex(0)
        let signal = WriteSignal(
            time: Timekeeper(clock), set: { signs.withLock { $0 += 1 } }, read: { false })
        // Ten a second, then four hundred.
        for _ in 0..<50 {
            signal.note(1)
            clock.advance(by: .milliseconds(100))
        }
        #expect(signs.withLock(\.self) == 0)
        for _ in 0..<100 {
            signal.note(4)
            clock.advance(by: .milliseconds(10))
        }
        let seen = signs.withLock(\.self)
        #expect((2...4).contains(seen), "\(seen)")
        // A pause is no time of many.
        clock.advance(by: .seconds(10))
        signal.note(100)
        clock.advance(by: .seconds(10))
        signal.note(100)
        #expect(signs.withLock(\.self) == seen)
    }

    @Test func aLookIsAtMostAnIntervalOld() async throws {
        let clock = TestClock()
        let reads = Mutex(0)
        let isOn = Mutex(true)
        let signal = WriteSignal(time: Timekeeper(clock), set: {}) {
            reads.withLock { $0 += 1 }
            return isOn.withLock(\.self)
        }
        #expect(!signal.isOn)
        try await eventually("it has looked") { signal.isOn }
        #expect(reads.withLock(\.self) == 1)
        isOn.withLock { $0 = false }
        clock.advance(by: .milliseconds(249))
        #expect(signal.isOn && reads.withLock(\.self) == 1)
        clock.advance(by: .milliseconds(1))
        #expect(signal.isOn)
        try await eventually("it has looked again") { !signal.isOn }
        #expect(reads.withLock(\.self) == 2)
    }

    /// Two servers with one Redis, and one of another deployment.
    @Test func serversShareIt() async throws {
        let configuration = try await TestCluster.configuration()
        try await TestCluster.run(configuration) { test in
            let other = try await MySQLStore(configuration, logger: TestCluster.logger)
            var apart = try await TestCluster.configuration()
            apart.redis = configuration.redis
            try await TestCluster.run(apart) { stranger in
                try await other.run { other in
                    #expect(!other.writing.isOn && !stranger.store.writing.isOn)
                    try await eventually("the other one has heard of it") {
                        try await test.send(30)
                        _ = stranger.store.writing.isOn
                        return other.writing.isOn
                    }
                    #expect(!stranger.store.writing.isOn)
                    try await eventually("and that it is over") { !other.writing.isOn }
                }
            }
        }
    }
}
