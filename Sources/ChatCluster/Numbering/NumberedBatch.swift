/// The numbers of one batch on its way into the database: which owners need some, which hold which, which are left over.
/// It decides; `NumberedAppend` acts.
///
/// An entry is *open* until it is settled some other way (an earlier request with its key stored it, its owner is
/// gone). The open entries of an owner get the numbers it holds, lowest first, in the order of the batch. A number that
/// is held and no longer needed is stored as void, so that it leaves no gap.
struct NumberedBatch: Sendable {
    struct Row: Sendable {
        /// The entry's place in the batch.
        let entry: Int
        let place: OwnedNumber
    }

    /// Written in each row, so that after a lost connection a writer finds out whether its rows are stored.
    let id = BatchID.random()
    /// The owner of each entry.
    let owners: [Int64]
    private var isOpen: [Bool]
    /// The held numbers of each owner, ascending.
    private var held: [Int64: [Int64]] = [:]

    init(owners: [Int64]) {
        self.owners = owners
        self.isOpen = owners.map { _ in true }
    }

    /// The entries to store.
    var open: [Int] { isOpen.indices.filter { isOpen[$0] } }

    /// How many numbers each owner still needs, by owner.
    var wanted: [(owner: Int64, count: Int64)] {
        var counts: [Int64: Int64] = [:]
        for entry in open { counts[owners[entry], default: 0] += 1 }
        return counts.compactMap { owner, count in
            let missing = count - Int64(held[owner]?.count ?? 0)
            return missing > 0 ? (owner, missing) : nil
        }.sorted { $0.owner < $1.owner }
    }

    /// The highest number that an owner holds; 0 for none.
    func highest(of owner: Int64) -> Int64 { held[owner]?.last ?? 0 }

    /// Gives an owner `count` numbers, the last of them `last`.
    mutating func give(_ owner: Int64, last: Int64, count: Int64) {
        held[owner, default: []].append(contentsOf: last - count + 1...last)
        held[owner]!.sort()
    }

    /// Gives an owner numbers that were taken before.
    mutating func give(_ owner: Int64, numbers: [Int64]) { held[owner] = (held[owner, default: []] + numbers).sorted() }

    /// Takes an owner's numbers away.
    mutating func takeBack(from owner: Int64) -> [Int64] { held.removeValue(forKey: owner) ?? [] }

    /// What to store now.
    struct Plan: Sendable {
        /// One for each open entry that has a number (all have one if nothing is wanted), in the index's order.
        let rows: [Row]
        /// The numbers left over.
        let voids: [OwnedNumber]

        var isEmpty: Bool { rows.isEmpty && voids.isEmpty }
    }

    var plan: Plan {
        var next: [Int64: Int] = [:]
        var rows: [Row] = []
        for entry in open {
            let owner = owners[entry]
            let position = next[owner, default: 0]
            guard let numbers = held[owner], position < numbers.count else { continue }
            next[owner] = position + 1
            rows.append(Row(entry: entry, place: OwnedNumber(owner: owner, number: numbers[position])))
        }
        let voids = held.flatMap { owner, numbers in
            numbers.dropFirst(next[owner] ?? 0).map { OwnedNumber(owner: owner, number: $0) }
        }
        return Plan(rows: rows.sorted { $0.place < $1.place }, voids: voids.sorted())
    }

    /// Drops an entry; another one gets its number, or the number is left over.
    mutating func settle(_ entry: Int) { isOpen[entry] = false }

    /// Drops owners that no longer exist, and their numbers.
    mutating func forget(_ owners: [Int64]) { for owner in owners { held[owner] = nil } }

    /// Drops numbers that others have taken.
    mutating func lose(_ places: some Sequence<OwnedNumber>) {
        let lost = Set(places)
        for owner in Set(lost.map(\.owner)) {
            held[owner]?.removeAll { lost.contains(OwnedNumber(owner: owner, number: $0)) }
        }
    }
}
