import ChatCore
import Logging
import MySQLClient

/// Makes missing numbers void if the row after them is older than the grace period, because their writer is dead. If
/// the writer was only slow, its insert fails on the void row, and it takes another number.
struct Holes: Sendable {
    /// A run of missing numbers.
    private struct Gap: Sendable {
        /// At most as many as one run may close.
        let missing: Range<Int64>
        /// The number of the next row, whose age counts.
        let next: Int64

        init(after last: Int64, before next: Int64) {
            self.missing = last + 1..<min(next, last + 1 + Int64(Holes.most))
            self.next = next
        }
    }

    /// The most numbers per owner and run; the next run or walk closes the rest.
    private static let most = 65_536
    /// A wider hole is left to people: `luciq verify` reports it.
    static let widest = LogTail.Hole.widest
    /// The most transactions that may fail because a writer hangs within its own; each takes a second. It takes a few
    /// to isolate the number of a chat's writer; a message's writer blocks the others of its chat as well.
    private static let stuckTolerated = 16

    let table: NumberedTable
    let context: JobContext

    /// - Parameters:
    ///   - number: all numbers up to this one are stored.
    /// - Returns: how many numbers became void, and whether no hole is left for a later run.
    func close(
        in owner: Int64, after number: Int64, _ stint: Stint
    ) async throws -> (closed: Int, isDone: Bool) {
        let gaps = try await gaps(in: owner, after: number)
        let missing = gaps.reduce(0) { $0 + $1.missing.count }
        let old = try await old(gaps.map(\.next), in: owner)
        var parts: [ClosedRange<Int64>] = []
        var left = Self.most
        for gap in gaps where left > 0 && old.contains(gap.next) {
            let missing = gap.missing.prefix(left)
            guard let first = missing.first, let last = missing.last else { continue }
            parts += (first...last).parts(of: MySQLStore.settledAtOnce)
            left -= missing.count
        }
        parts.reverse()
        var (closed, stuck) = (0, 0)
        while let part = parts.popLast(), try await stint.goesOn(), stuck < Self.stuckTolerated {
            do {
                closed += try await context.store.settle(part, of: owner, in: table, patience: .seconds(1)).count
            } catch ChatError.unavailable(let reason) {
                stuck += 1
                if part.count > 1 {
                    parts += part.parts(of: max(1, Int64(part.count) / 8)).reversed()
                } else {
                    context.logger.notice(
                        "A missing number could not be made void",
                        metadata: ["of": "\(table.name)", "reason": "\(reason)"])
                }
            }
        }
        if closed > 0 {
            context.logger.notice(
                "Missing numbers made void",
                metadata: ["of": "\(table.name)", "owner": "\(owner)", "count": "\(closed)"])
        }
        return (closed, closed == missing && missing < Self.most)
    }

    private func gaps(in owner: Int64, after number: Int64) async throws -> [Gap] {
        try await context.read { [table] connection in
            var gaps: [Gap] = []
            var (last, missing) = (number, 0)
            while missing < Self.most {
                var seen = 0
                try connection.query(
                    """
                    SELECT number FROM \(table.byNumber)
                    WHERE \(table.owner) = ? AND number > ? AND number <= \(NumberedTable.lastNumber)
                    ORDER BY number LIMIT 10000
                    """, [.integer(owner), .integer(last)]
                ) { row in
                    let next = row.integer(0)
                    if next > last + 1, next - last <= Self.widest, missing < Self.most {
                        let gap = Gap(after: last, before: next)
                        gaps.append(gap)
                        missing += gap.missing.count
                    }
                    last = next
                    seen += 1
                    return true
                }
                if seen < 10_000 { break }
            }
            return gaps
        }
    }

    /// Those of the numbers whose rows are older than the grace period.
    private func old(_ numbers: [Int64], in owner: Int64) async throws -> Set<Int64> {
        guard !numbers.isEmpty else { return [] }
        return try await context.read { [table, grace = context.grace.components.seconds] connection in
            var old: Set<Int64> = []
            for some in numbers.chunks(of: 256) {
                let some = some.padded
                old.formUnion(
                    try connection.rows(
                        """
                        SELECT number FROM \(table.byNumber) WHERE \(table.owner) = ?
                            AND number IN (\(some.map { _ in "?" }.joined(separator: ", ")))
                            AND created_at < UTC_TIMESTAMP(6) - INTERVAL ? SECOND
                        """, [.integer(owner)] + some.map { .integer($0) } + [.integer(grace)]
                    ) { $0.integer(0) })
            }
            return old
        }
    }
}
