import Testing

@testable import ChatCore

/// Holes that an older server has left.
@Suite(.timeLimit(.minutes(1)))
struct LogOrderTests {
    /// Walks over all numbers.
    ///
    /// - Parameter numbers: of the messages in the store.
    /// - Returns: those that were let through, and how many numbers were made void.
    private func walk(_ numbers: [Int64]) throws -> (messages: [Int64], settled: Int) {
        var order = LogOrder.ofOldMessages(after: 0, limits: StreamLimits())
        order.see(numbers.last!, now: .zero)
        var (messages, void) = ([Int64](), VoidNumbers())
        var now = Duration.zero
        for _ in 0..<10_000 {
            guard let next = order.nextWork else { return (messages, void.count) }
            now = max(now, next)
            let work = order.startWork(now: now)
            var finding = LogOrder.Finding.settled
            switch try #require(work) {
            case .settle(let range): void.insert(range, besides: numbers)
            case .read(let start): finding = .rows(void.entries(after: start, with: numbers))
            }
            let due = order.finish(finding, now: now, clock: Timestamp(microseconds: 1_000_000_000))
            messages += due.map(\.number.rawValue)
        }
        Issue.record("it does not end: \(messages), \(void.count) void")
        return (messages, void.count)
    }

    @Test func aHoleUpToTheColumnsEndIsGonePast() throws {
        let (messages, settled) = try walk([1, 2, 2_147_483_647, 2_147_483_648])
        #expect(messages == [1, 2, 2_147_483_647, 2_147_483_648])
        #expect(settled >= 65_536 && settled < 100_000)
    }

    @Test func aHoleThatSomebodyMayFillIsMadeVoidWhole() throws {
        let (messages, settled) = try walk([1, 1_000_001, 1_000_003])
        #expect(messages == [1, 1_000_001, 1_000_003])
        #expect(settled == 1_000_000)
    }
}

/// Void numbers as runs, and what a store answers that has them.
private struct VoidNumbers {
    private var runs: [ClosedRange<Int64>] = []

    var count: Int { runs.reduce(0) { $0 + $1.count } }

    mutating func insert(_ range: ClosedRange<Int64>, besides numbers: [Int64]) {
        guard !numbers.contains(where: range.contains) else { return }
        if let last = runs.last, last.upperBound + 1 == range.lowerBound {
            runs[runs.count - 1] = last.lowerBound...range.upperBound
        } else {
            runs.append(range)
        }
    }

    func entries(after start: Int64, with numbers: [Int64]) -> [LogEntry] {
        let time = Timestamp(microseconds: 1)
        let messages = numbers.filter { $0 > start }.map {
            LogEntry(Message(number: Message.Number($0), body: "x", createdAt: time))
        }
        let voids = runs.filter { $0.upperBound > start }.map {
            LogEntry(voids: max($0.lowerBound, start + 1)...$0.upperBound)
        }
        return (messages + voids).sorted { $0.number.rawValue < $1.number.rawValue }
    }
}
