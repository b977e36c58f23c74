import Testing

@testable import ChatCore

struct StreamTailTests {
    private static func tail(after start: Int64 = 0, _ rows: [(Int64, seconds: Int64)]) -> LogTail {
        LogTail(after: start, rows: rows.map { (number: $0.0, createdAt: time($0.seconds)) })
    }

    private static func time(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }

    @Test func nothingIsMissing() {
        let tail = Self.tail(after: 40, [(41, 0), (42, 0)])
        #expect(tail == LogTail(upTo: 42))
        #expect(tail.complete(without: nil) == 42)
        #expect(tail.lost(at: Self.time(100), grace: .seconds(2)) == nil)
        #expect(Self.tail([]) == LogTail(upTo: 0))
    }

    @Test func holesAreFound() {
        let tail = Self.tail([(3, 5), (4, 6), (7, 8), (9, 9)])
        #expect(tail.highest == 9)
        #expect(tail.holes.map(\.numbers) == [1...2, 5...6, 8...8])
        #expect(tail.holes.map(\.olderThan) == [5, 8, 9].map(Self.time))
        #expect(tail.complete(without: nil) == 0)
    }

    /// Up to the first that may still come.
    @Test func whatIsLostIsAsOldAsTheGracePeriod() {
        let tail = Self.tail([(3, 5), (4, 6), (7, 8), (9, 9)])
        let expected: [(clock: Int64, lost: ClosedRange<Int64>?, complete: Int64)] = [
            (6, nil, 0), (7, 1...2, 4), (9, 1...2, 4), (10, 1...6, 7), (11, 1...8, 9),
        ]
        for (clock, lost, complete) in expected {
            #expect(tail.lost(at: Self.time(clock), grace: .seconds(2)) == lost, "at \(clock)")
            #expect(tail.complete(without: lost) == complete, "at \(clock)")
        }
        // A clock that was ahead does not let a younger one pass.
        let skewed = Self.tail([(2, 50), (4, 5)])
        #expect(skewed.lost(at: Self.time(20), grace: .seconds(2)) == nil)
    }
}
