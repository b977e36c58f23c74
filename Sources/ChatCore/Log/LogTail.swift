/// The newest numbers of a chat's log, and which of them have no row.
///
/// A number that is missing below one that is there is on its way, or its writer is dead. Whoever starts to read "with the
/// next message" must start below those on their way: they will be stored after it has come.
package struct LogTail: Equatable, Sendable {
    /// Numbers that are missing, side by side.
    package struct Hole: Equatable, Sendable {
        package let numbers: ClosedRange<Int64>
        /// When the row after them was stored, by the clock of who stored it: they were given out before that.
        package let olderThan: Timestamp

        /// More missing numbers than that are not made void: their rows would take gigabytes.
        package static let widest: Int64 = 1 << 24
    }

    /// How many of a chat's newest numbers are looked at.
    package static let depth: Int64 = 1024

    /// 0 for an empty log.
    package let highest: Int64
    /// Rising.
    package let holes: [Hole]

    /// A log with nothing missing.
    package init(upTo highest: Int64) {
        self.highest = highest
        self.holes = []
    }

    /// - Parameters:
    ///   - start: the number that the rows come after.
    ///   - rows: all that there are after it, in order.
    package init(after start: Int64, rows: some Sequence<(number: Int64, createdAt: Timestamp)>) {
        var (highest, holes) = (start, [Hole]())
        for row in rows {
            assert(row.number > highest, "Rows come in number order")
            if row.number > highest + 1 {
                holes.append(Hole(numbers: highest + 1...row.number - 1, olderThan: row.createdAt))
            }
            highest = row.number
        }
        self.highest = highest
        self.holes = holes
    }

    /// The last number below which nothing is on its way.
    ///
    /// - Parameter lost: what is not waited for any more.
    func complete(without lost: ClosedRange<Int64>?) -> Int64 {
        let first = holes.first { hole in lost.map { hole.numbers.lowerBound > $0.upperBound } ?? true }
        return first.map { $0.numbers.lowerBound - 1 } ?? highest
    }

    /// What is missing for longer than a writer is waited for: from its first number to its last, with all of the missing
    /// ones between. Nil where there is none.
    func lost(at clock: Timestamp, grace: Duration) -> ClosedRange<Int64>? {
        let old = holes.prefix { $0.olderThan.adding(grace) <= clock }
        guard let first = old.first, let last = old.last else { return nil }
        return first.numbers.lowerBound...last.numbers.upperBound
    }
}
