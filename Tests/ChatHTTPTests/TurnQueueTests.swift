import TestSupport
import Testing

@testable import ChatHTTP

/// Whose requests come first when many wait.
@Suite struct TurnQueueTests {
    typealias Owner = TurnQueue<String>.Owner

    private func flood(_ queue: inout TurnQueue<String>, _ count: Int, _ owner: (Int) -> Owner) {
        for number in 0..<count { queue.add("flood", of: owner(number)) }
    }

    private func rest(_ queue: inout TurnQueue<String>) -> [String] {
        var rest: [String] = []
        while let item = queue.next() { rest.append(item) }
        return rest
    }

    /// Who floods, and who asks beside it.
    enum Flood: CaseIterable, Sendable {
        case oneApplication, besideItOfTheSameAddress, manyAddresses, manyApplications, oneUser

        func owner(_ number: Int) -> Owner {
            switch self {
            case .oneApplication, .besideItOfTheSameAddress, .oneUser:
                Owner(address: 1, application: 1, credentials: 1)
            case .manyAddresses: Owner(address: 10 + number, application: 1, credentials: number)
            case .manyApplications: Owner(address: 1, application: 10 + number, credentials: number)
            }
        }

        var other: Owner {
            switch self {
            case .oneApplication, .manyAddresses, .manyApplications: Owner(address: 2, application: 2, credentials: 2)
            case .besideItOfTheSameAddress: Owner(address: 1, application: 2, credentials: 2)
            case .oneUser: Owner(address: 1, application: 1, credentials: 2)
            }
        }
    }

    @Test(arguments: Flood.allCases)
    func whoAsksLittleIsNotBehindAFlood(_ flooding: Flood) {
        var queue = TurnQueue<String>()
        flood(&queue, 500, flooding.owner)
        for number in 0..<3 { queue.add("\(number)", of: flooding.other) }
        #expect(queue.count == 503)
        let order = rest(&queue)
        #expect(order.count == 503)
        let places = order.indices.filter { order[$0] != "flood" }
        #expect(places.map { order[$0] } == ["0", "1", "2"])
        #expect(places[0] < 4 && places[2] < 12, "\(places)")
        #expect(queue.held == 0)
    }

    /// In the order in which they came, where nobody has more than the others.
    @Test func aloneTheOrderIsTheirOwn() {
        var queue = TurnQueue<String>()
        for number in 0..<100 { queue.add("\(number)", of: Owner(address: 1, application: 1, credentials: 1)) }
        #expect(rest(&queue) == (0..<100).map(String.init))
    }

    /// Each is given once, and what the other order has given does not stay.
    @Test func nothingIsLostOrKept() {
        var random = SeededRandom(seed: 7)
        var queue = TurnQueue<String>()
        var (added, given) = (Set<String>(), Set<String>())
        for step in 0..<50_000 {
            if Int.random(in: 0..<100, using: &random) < (step < 25_000 ? 51 : 50) {
                let owner = Owner(
                    address: Int.random(in: 0..<3, using: &random),
                    application: Int.random(in: 0..<200, using: &random),
                    credentials: Int.random(in: 0..<2, using: &random))
                queue.add("\(step)", of: owner)
                added.insert("\(step)")
            } else if let item = queue.next() {
                #expect(given.insert(item).inserted)
            }
            #expect(queue.count == added.count - given.count)
            #expect(queue.held <= 3 * queue.count + 2 * 1024 + 2)
        }
        for item in rest(&queue) { #expect(given.insert(item).inserted) }
        #expect(given == added && queue.held == 0)
    }
}

/// Refusals of those who do not wait.
@Suite struct RefusalPaceTests {
    /// 200 a second, whatever a client does; nobody waits longer than five seconds.
    @Test func refusalsOfOneOwnerGoAtAPace() {
        var pace = RefusalPace()
        let start = Duration.seconds(1000)
        for _ in 0..<200 { #expect(pace.wait(of: [1, 2], now: start) <= .zero) }
        for number in 1...1000 { #expect(pace.wait(of: [1, 2], now: start) == .milliseconds(5) * number) }
        #expect(pace.wait(of: [1, 3], now: start) == .seconds(5))
        #expect(pace.wait(of: [4, 2], now: start) == .seconds(5))
        #expect(pace.wait(of: [4, 3], now: start) <= .zero)
        // It comes back with time.
        #expect(pace.wait(of: [1], now: start + .seconds(5)) == .milliseconds(5))
        for _ in 0..<200 { #expect(pace.wait(of: [1], now: start + .seconds(20)) <= .zero) }
        #expect(pace.wait(of: [1], now: start + .seconds(20)) > .zero)
    }

    @Test func anyOwnersShareABoundedTable() {
        var pace = RefusalPace(owners: 16)
        for owner in [Int.min, -1, 0, 1, .max] { #expect(pace.wait(of: [owner], now: .zero) <= .zero) }
    }
}
