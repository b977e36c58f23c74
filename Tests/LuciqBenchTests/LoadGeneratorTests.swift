import NIOCore
import NIOEmbedded
import Testing

@testable import luciq_bench

/// With a manual clock and embedded channels in place of sockets.
@Suite struct LoadGeneratorTests {
    private let loop: EmbeddedEventLoop
    private let generator: LoadGenerator
    private let channels: [EmbeddedChannel]

    init() throws { self = try Self(rate: 1000) }

    private init(rate: Int?) throws {
        let loop = EmbeddedEventLoop()
        let generator = LoadGenerator(rate: rate, seconds: 1, connections: 2, on: loop)
        (self.loop, self.generator) = (loop, generator)
        channels = (0..<2).map { index in
            EmbeddedChannel(
                handler: generator.makeConnection(.http, [ByteBuffer(string: "request")], index: index), loop: loop)
        }
        for channel in channels { channel.connect(to: try SocketAddress(unixDomainSocketPath: "/x"), promise: nil) }
        loop.run()
    }

    /// Advances the clock; at each step the server answers all requests.
    /// - Returns: the number of answers.
    @discardableResult
    private func answer(
        _ status: String = "201 Created", milliseconds: Int, stepsOfEach: Int = 1
    ) throws -> Int {
        var count = 0
        for _ in 0..<milliseconds * stepsOfEach {
            loop.advanceTime(by: .microseconds(1000 / Int64(stepsOfEach)))
            for _ in 0..<1000 {
                let asked = try channels.filter { try $0.readOutbound(as: ByteBuffer.self) != nil }
                if asked.isEmpty { break }
                for channel in asked {
                    try channel.writeInbound(ByteBuffer(string: "HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\r\n"))
                }
                count += asked.count
            }
        }
        return count
    }

    private func report() throws -> LoadGenerator.Report { try generator.done.futureResult.wait() }

    @Test func requestsAreSentWhenTheyAreDue() throws {
        #expect(try answer(milliseconds: 500) == 501)
        #expect(try answer(milliseconds: 1501) == 1499)
        let report = try report()
        let latency = try #require(report.latency)
        #expect(report.rate == 1000 && report.errors == 0 && report.unsent == 0 && report.unanswered == 0)
        #expect(latency.max_ms == 0)
    }

    /// A closed loop would have seen two slow requests.
    @Test func aStandstillCostsAllThatWereDueMeanwhile() throws {
        try answer(milliseconds: 1500)
        loop.advanceTime(by: .milliseconds(200))
        try answer(milliseconds: 301)
        let report = try report()
        let latency = try #require(report.latency)
        #expect(report.unsent == 0 && report.unanswered == 0 && report.errors == 0)
        #expect(latency.p50_ms == 0)
        #expect((188...193).contains(latency.p99_ms), "\(latency)")
    }

    @Test func whatIsNotSentHasWaitedUntilTheEnd() throws {
        try answer(milliseconds: 1500)
        loop.advanceTime(by: .seconds(20))
        let report = try report()
        let latency = try #require(report.latency)
        #expect(report.rate < 503 && report.unanswered == 2)
        #expect((496...498).contains(report.unsent), "\(report)")
        #expect((485...492).contains(latency.p99_ms) && latency.max_ms > 10_000, "\(latency)")
    }

    /// Timers are at least a tenth of a millisecond apart.
    @Test func theLastIsSentThoughItWasDueAtTheVeryEnd() throws {
        let dense = try Self(rate: 20_000)
        try dense.answer(milliseconds: 2001, stepsOfEach: 20)
        let report = try dense.report()
        #expect(report.unsent == 0 && report.unanswered == 0)
    }

    @Test func whatIsRefusedDoesNotCount() throws {
        try answer("503 Service Unavailable", milliseconds: 2001)
        let report = try report()
        #expect(report.rate == 0 && report.errors == 2000)
    }

    @Test func withoutARateAnAnswerIsFollowedByTheNextRequest() throws {
        let closed = try Self(rate: nil)
        for _ in 0..<2001 {
            closed.loop.advanceTime(by: .milliseconds(1))
            for channel in closed.channels where try channel.readOutbound(as: ByteBuffer.self) != nil {
                try channel.writeInbound(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
            }
        }
        let report = try closed.report()
        #expect(report.rate == 2000 && report.unsent == 0)
        #expect(report.latency?.p99_ms == 1)
    }

    @Test func aConnectionThatBreaksIsAnError() throws {
        try answer(milliseconds: 1100)
        channels[0].pipeline.fireChannelInactive()
        try answer(milliseconds: 901)
        let report = try report()
        #expect(report.errors == 1 && report.unsent == 0 && report.rate == 1000)
    }
}
