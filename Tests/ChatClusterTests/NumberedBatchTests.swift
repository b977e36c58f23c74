import Testing

@testable import ChatCluster

@Suite(.timeLimit(.minutes(1))) struct NumberedBatchTests {
    private func places(_ batch: NumberedBatch) -> [String] {
        batch.plan.rows.sorted { $0.entry < $1.entry }.map { "\($0.place.owner):\($0.place.number)" }
    }

    @Test func wantsOneNumberAnEntry() {
        let batch = NumberedBatch(owners: [7, 3, 7])
        #expect(batch.wanted.map(\.owner) == [3, 7])
        #expect(batch.wanted.map(\.count) == [1, 2])
        #expect(batch.plan.isEmpty)
    }

    @Test func numbersRiseInTheOrderOfTheBatch() {
        var batch = NumberedBatch(owners: [7, 3, 7])
        batch.give(7, last: 12, count: 2)
        batch.give(3, last: 1, count: 1)
        #expect(batch.wanted.isEmpty)
        #expect(places(batch) == ["7:11", "3:1", "7:12"])
        // Rows lie in the order of the index, so that two batches take its locks in the same order.
        #expect(batch.plan.rows.map(\.place) == batch.plan.rows.map(\.place).sorted())
    }

    @Test func aTakenNumberIsReplacedAndTheOthersStay() {
        var batch = NumberedBatch(owners: [7, 7, 7])
        batch.give(7, last: 7, count: 3)
        batch.lose([OwnedNumber(owner: 7, number: 6)])
        #expect(batch.wanted.map(\.count) == [1])
        batch.give(7, last: 20, count: 1)
        #expect(places(batch) == ["7:5", "7:7", "7:20"])
    }

    @Test func aLeftOverNumberIsVoid() {
        var batch = NumberedBatch(owners: [7, 7, 3])
        batch.give(7, last: 2, count: 2)
        batch.give(3, last: 9, count: 1)
        batch.settle(0)
        #expect(batch.open == [1, 2])
        #expect(places(batch) == ["7:1", "3:9"])
        #expect(batch.plan.voids == [OwnedNumber(owner: 7, number: 2)])
        batch.settle(2)
        #expect(batch.plan.voids == [OwnedNumber(owner: 3, number: 9), OwnedNumber(owner: 7, number: 2)])
    }

    @Test func ownersThatAreGoneTakeTheirNumbersWithThem() {
        var batch = NumberedBatch(owners: [7, 3])
        batch.give(7, last: 1, count: 1)
        batch.give(3, last: 1, count: 1)
        batch.settle(0)
        batch.forget([7])
        #expect(batch.plan.voids.isEmpty)
        #expect(places(batch) == ["3:1"])
    }

    @Test func batchesAreToldApart() {
        #expect(NumberedBatch(owners: []).id != NumberedBatch(owners: []).id)
        #expect(NumberedBatch(owners: []).id > 0)
    }
}

@Suite(.timeLimit(.minutes(1))) struct SpareNumbersTests {
    @Test func theLowestAreUsedFirst() {
        let spares = SpareNumbers()
        spares.keep([9, 7], of: 1)
        spares.keep([8], of: 1)
        #expect(spares.owners(among: [2, 1]) == [1])
        #expect(spares.take(2, of: 1, above: 0) == [7, 8])
        #expect(spares.take(2, of: 1, above: 0) == [9])
        #expect(spares.take(2, of: 1, above: 0) == [])
        #expect(spares.owners(among: [2, 1]) == [])
    }

    /// No message gets a number below one that is stored.
    @Test func whatOthersHaveGonePastIsForgotten() {
        let spares = SpareNumbers()
        spares.keep([7, 8, 9], of: 1)
        #expect(spares.take(1, of: 1, above: 8) == [9])
        #expect(spares.owners(among: [1]) == [])
    }

    @Test func theyAreBounded() {
        let spares = SpareNumbers()
        for owner in 0..<2000 { spares.keep(Array(1...10), of: Int64(owner)) }
        #expect(spares.owners(among: 0..<2000).count == 1024)
        spares.keep(Array(11...5000), of: 0)
        #expect(spares.take(5000, of: 0, above: 0) == Array(1...1024))
    }
}

@Suite(.timeLimit(.minutes(1))) struct ServerVersionTests {
    @Test(arguments: [
        ("8.0.36", false, true), ("8.4.0", false, true), ("5.7.44-log", false, false),
        ("10.11.6-MariaDB-1", true, true),
        ("10.5.9-MariaDB", true, false), ("5.5.5-10.11.6-MariaDB", true, true), ("11.4.2-MariaDB", true, true),
        ("8.0.11-TiDB-v7.5.0", false, true), ("nonsense", false, false),
    ])
    func theLeastVersions(_ text: String, _ isMariaDB: Bool, _ isSupported: Bool) {
        #expect(ServerVersion(text, isMariaDB: isMariaDB).isSupported == isSupported)
    }
}
