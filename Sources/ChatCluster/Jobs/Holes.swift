import ChatCore
import Logging
import MySQLClient

/// Closes the holes in an owner's numbers that nobody will fill any more: those before a row that is older than the grace
/// period. If a writer was only slow after all, its insert meets the fence, and it takes another number.
struct Holes: Sendable {
    /// A stretch of missing numbers.
    private struct Gap: Sendable {
        /// No more than may be closed.
        let missing: Range<Int64>
        /// The number of the row that follows, and tells the age.
        let next: Int64

        init(after last: Int64, before next: Int64) {
            self.missing = last + 1..<min(next, last + 1 + Int64(Holes.most))
            self.next = next
        }
    }

    /// Numbers an owner and run; where more are missing, the next run or walk goes on.
    private static let most = 1000
    /// Numbers that a writer which stands still within its transaction may keep from being closed, at some seconds each.
    private static let stuckTolerated = 3

    let table: NumberedTable
    let context: JobContext

    /// - Parameters:
    ///   - number: all numbers up to here are there.
    /// - Returns: how many holes were closed.
    func close(in owner: Int64, after number: Int64, _ stint: Stint) async throws -> Int {
        let gaps = try await gaps(in: owner, after: number)
        let old = try await old(gaps.map(\.next), in: owner)
        var (closed, stuck) = (0, 0)
        for missing in gaps.filter({ old.contains($0.next) }).flatMap(\.missing).prefix(Self.most) {
            guard try await stint.goesOn(), stuck < Self.stuckTolerated else { break }
            do {
                try await close(missing, in: owner)
                closed += 1
            } catch ChatError.unavailable(let reason) {
                stuck += 1
                context.logger.notice(
                    "A missing number could not be made void", metadata: ["of": "\(table.name)", "reason": "\(reason)"])
            }
        }
        if closed > 0 {
            context.logger.notice(
                "Missing numbers are void now",
                metadata: ["of": "\(table.name)", "owner": "\(owner)", "count": "\(closed)"])
        }
        return closed
    }

    private func close(_ number: Int64, in owner: Int64) async throws {
        if table.name == NumberedTable.messages.name {
            _ = try await context.store.settle(Message.Number(number), in: Chat.ID(owner))
        } else {
            try await context.store.settleChat(Chat.Number(number), in: Tenant.ID(owner))
        }
    }

    private func gaps(in owner: Int64, after number: Int64) async throws -> [Gap] {
        try await context.read { [table] connection in
            var gaps: [Gap] = []
            var (last, missing) = (number, 0)
            while missing < Self.most {
                var seen = 0
                try connection.query(
                    """
                    SELECT number FROM \(table.byNumber) WHERE \(table.owner) = ? AND number > ?
                    ORDER BY number LIMIT 10000
                    """, [.integer(owner), .integer(last)]
                ) { row in
                    let next = row.integer(0)
                    if next > last + 1, missing < Self.most {
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

    /// Which of these numbers' rows are older than the grace period.
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
