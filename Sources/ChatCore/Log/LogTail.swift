/// The newest numbers of a chat's log, and which of them have no row.
///
/// A missing number will still be stored, or its writer is dead. A reader that starts with the next message must start
/// below the first number that may still be stored.
package struct LogTail: Equatable, Sendable {
    /// A run of missing numbers.
    package struct Hole: Equatable, Sendable {
        package let numbers: ClosedRange<Int64>
        /// When the row after them was stored, by its writer's clock. The numbers were taken before that.
        package let olderThan: Timestamp

        /// A wider hole is not made void as a whole: its rows would take gigabytes.
        package static let widest: Int64 = 1 << 24
    }

    /// How many of a chat's newest numbers are read.
    package static let depth: Int64 = 1024

    /// 0 for an empty log.
    package let highest: Int64
    /// In rising order.
    package let holes: [Hole]

    /// A log without holes.
    package init(upTo highest: Int64) {
        self.highest = highest
        self.holes = []
    }

    /// - Parameters:
    ///   - start: the number before the rows.
    ///   - rows: all rows after it, in order.
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

    /// The last number before the first hole.
    ///
    /// - Parameter lost: holes up to its end are ignored.
    func complete(without lost: ClosedRange<Int64>?) -> Int64 {
        let first = holes.first { hole in lost.map { hole.numbers.lowerBound > $0.upperBound } ?? true }
        return first.map { $0.numbers.lowerBound - 1 } ?? highest
    }

    /// The range that spans the holes older than the grace period; nil if there are none.
    func lost(at clock: Timestamp, grace: Duration) -> ClosedRange<Int64>? {
        let old = holes.prefix { $0.olderThan.adding(grace) <= clock }
        guard let first = old.first, let last = old.last else { return nil }
        return first.numbers.lowerBound...last.numbers.upperBound
    }
}
