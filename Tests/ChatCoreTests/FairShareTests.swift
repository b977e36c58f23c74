import TestSupport
import Testing

@testable import ChatCore

@Suite struct FairShareTests {
    @Test func nobodyTakesAll() {
        var share = FairShare<Int>(bound: 64)
        var taken: [Int] = []
        for owner in 0..<7 {
            var count = 0
            while share.take(owner) { count += 1 }
            taken.append(count)
        }
        #expect(taken == [32, 16, 8, 4, 2, 1, 1])
        let isTaken = share.take(99)
        #expect(share.total == 64 && !isTaken)
    }

    @Test func whatIsGivenBackIsFree() {
        var share = FairShare<String>(bound: 4)
        var taken = ["a", "a", "a", "b"].map { share.take($0) }
        #expect(taken == [true, true, false, true])
        share.give("a")
        share.give("a")
        #expect(share.total == 1)
        taken = ["b", "a", "b"].map { share.take($0) }
        #expect(taken == [true, true, false])
    }

    /// Existing holdings are counted, whether or not there is room.
    @Test func amountsAreHeld() {
        var share = FairShare<String>(bound: 100)
        #expect(share.room(for: "a") == 100 && share.isSmall("a"))
        share.hold(40, of: "a")
        #expect(share.room(for: "a") == 20 && !share.isSmall("a"))
        #expect(share.room(for: "b") == 60 && share.isSmall("b"))
        share.hold(40, of: "a")
        let isTaken = share.take("a")
        #expect(share.room(for: "a") == -60 && share.room(for: "b") == 20 && !isTaken)
        share.give("a", 80)
        #expect(share.total == 0 && share.room(for: "a") == 100)
    }

    /// Under any sequence of taking and giving back, the sum is right and the bound is kept.
    @Test(arguments: 0..<20 as Range<UInt64>) func theSumIsRight(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var share = FairShare<Int>(bound: 20)
        var taken: [Int] = []
        for _ in 0..<1000 {
            let owner = Int.random(in: 0..<5, using: &random)
            if Bool.random(using: &random) {
                let own = taken.count { $0 == owner }
                let isFree = own < 20 - taken.count
                let isTaken = share.take(owner)
                #expect(isTaken == isFree)
                if isFree { taken.append(owner) }
            } else if let index = taken.indices.randomElement(using: &random) {
                share.give(taken.remove(at: index))
            }
            #expect(share.total == taken.count && taken.count <= 20)
        }
    }
}
