import Logging
import Synchronization
import TestSupport
import Testing

@testable import ChatCore

@Suite(.timeLimit(.minutes(1))) struct ClockWatchTests {
    private final class Recorder: LogHandler, Sendable {
        let lines = Mutex<[String]>([])
        var metadata: Logger.Metadata {
            get { [:] }
            set {}
        }
        var logLevel: Logger.Level {
            get { .trace }
            set {}
        }
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { nil }
            set {}
        }
        func log(event: LogEvent) {
            lines.withLock { $0.append("\(event.message) \(event.metadata?["seconds"] ?? "")") }
        }
    }

    @Test func aClockThatIsSetAheadMakesNothingOld() {
        let hands = TestClock()
        let wall = Mutex(Timestamp(microseconds: 1_763_830_664_194_123))
        let start = wall.withLock(\.self)
        let clock = WallClock { wall.withLock(\.self) }.neverAhead(by: Timekeeper(hands))
        hands.advance(by: .seconds(5))
        wall.withLock { $0 = start.adding(.seconds(86_400)) }
        #expect(clock.now() == start.adding(.seconds(5)))
        wall.withLock { $0 = start.adding(.seconds(-86_400)) }
        #expect(clock.now() == start.adding(.seconds(-86_400)))
    }

    @Test func aJumpIsLogged() async throws {
        let (hands, recorder) = (TestClock(), Recorder())
        let start = hands.now
        let offset = Mutex<Duration>(.zero)
        let wall = WallClock {
            Timestamp(microseconds: 1_763_830_664_194_123).adding(
                start.duration(to: hands.now) + offset.withLock(\.self))
        }
        let watch = ClockWatch(clock: wall, time: Timekeeper(hands), logger: Logger(label: "test") { _ in recorder })
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await watch.run() }
            // Corrected slowly, a day ahead, no change, a year back.
            for jump in [.milliseconds(1500), .seconds(86_400), .zero, .seconds(-31_536_000)] as [Duration] {
                try await hands.waitForSleepers(1)
                offset.withLock { $0 += jump }
                hands.advance(by: .seconds(1))
            }
            try await hands.waitForSleepers(1)
            tasks.cancelAll()
            hands.advance(by: .seconds(1))
            try await tasks.waitForAll()
        }
        let lines = recorder.lines.withLock(\.self)
        #expect(lines == ["System clock jumped 86400", "System clock jumped -31536000"])
    }
}
