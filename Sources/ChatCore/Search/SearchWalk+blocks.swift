extension SearchWalk {
    /// Searches a chat in the direction of a page: blocks where there are some, rows elsewhere. All closures read one
    /// snapshot.
    ///
    /// - Parameters:
    ///   - blocks: the next blocks that overlap some numbers, in the direction of the walk; empty if there are none.
    ///   - rows: shows the walk (`see`) the rows of some numbers, in its direction, until it has seen enough.
    ///   - candidates: shows it the rows of these numbers, those that are there, in their order, until it has seen enough.
    /// - Throws: what `see` and the closures throw.
    package mutating func run(
        _ page: Page,
        blocks: (ClosedRange<Int64>) throws -> [ScannedBlock],
        rows: (ClosedRange<Int64>, inout SearchWalk) throws -> Void,
        candidates: ([Int64], inout SearchWalk) throws -> Void
    ) throws {
        let (above, below) = (max(page.lowerBound, 0), page.upperBound)
        guard below > above, below - above > 1 else { return }
        var rest = Rest(numbers: above + 1...below - 1, upwards: page.walksUp)
        if needle != nil {
            while let numbers = rest.numbers {
                let found = try blocks(numbers)
                if found.isEmpty { break }
                for block in found {
                    guard let (hole, span) = rest.pass(block.span) else { continue }
                    if let hole { try rows(hole, &self) }
                    if hasSeenEnough { return }
                    try count(bytes: SearchBlock.size) { rest.upwards ? span.lowerBound - 1 : span.upperBound + 1 }
                    if hasSeenEnough { return }
                    let numbers = block.candidates
                        .filter { span.contains($0.number) && takes($0.createdAt) }.map(\.number)
                    if !numbers.isEmpty { try candidates(rest.upwards ? numbers : numbers.reversed(), &self) }
                    if hasSeenEnough { return }
                }
            }
        }
        if let numbers = rest.numbers { try rows(numbers, &self) }
    }

    /// The numbers that a walk has not passed.
    private struct Rest {
        private(set) var numbers: ClosedRange<Int64>?
        let upwards: Bool

        init(numbers: ClosedRange<Int64>, upwards: Bool) {
            self.numbers = numbers
            self.upwards = upwards
        }

        /// Passes the numbers up to the far end of a block.
        ///
        /// - Returns: what lies before the block, and the part of the block that was not passed; nil if all of it was.
        mutating func pass(_ block: ClosedRange<Int64>) -> (hole: ClosedRange<Int64>?, span: ClosedRange<Int64>)? {
            guard let numbers, block.overlaps(numbers) else { return nil }
            let span = block.clamped(to: numbers)
            let below = numbers.lowerBound < span.lowerBound ? numbers.lowerBound...span.lowerBound - 1 : nil
            let above = numbers.upperBound > span.upperBound ? span.upperBound + 1...numbers.upperBound : nil
            self.numbers = upwards ? above : below
            return (upwards ? below : above, span)
        }
    }
}
