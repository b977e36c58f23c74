import Testing

@testable import luciq_bench

@Suite struct PaceTests {
    @Test(arguments: [1, 3, 7, 999, 5000, 33_333]) func aRequestIsDueFromItsMomentOn(rate: Int) {
        let pace = Pace(rate: rate, warmUp: 1, seconds: 2)
        #expect(pace.count == 3 * rate && pace.uncounted == rate)
        let wrong = (0..<pace.count).filter { index in
            let moment = pace.moment(of: index)
            return pace.due(by: moment) != index + 1 || pace.due(by: moment - 1) != index
        }
        #expect(wrong.isEmpty, "\(wrong.count), the first is \(wrong.first ?? 0)")
        #expect(pace.moment(of: rate) == 1_000_000_000)
        #expect(pace.due(by: .max / 100_000) == pace.count)
    }
}

@Suite struct LatencyTests {
    @Test func aPercentileIsTheLeastThatSoManyDoNotExceed() throws {
        let thousand = try #require(Latency((1...1000).reversed().map { $0 * 1_000_000 }))
        #expect(thousand.p50_ms == 500 && thousand.p99_ms == 990 && thousand.p999_ms == 999 && thousand.max_ms == 1000)
        let ten = try #require(Latency((1...10).map { $0 * 1_000_000 }))
        #expect(ten.p50_ms == 5 && ten.p99_ms == 10 && ten.p999_ms == 10 && ten.max_ms == 10)
        #expect(Latency([]) == nil)
    }
}
