import MySQLClient
import Synchronization

/// Finds the extent of unrecorded void numbers that a reader has met, and records it as a run.
final class VoidScout: Sendable {
    private struct Place: Hashable {
        let scope: IdempotencyTable.Scope
        let owner: Int64
    }

    /// Rows per statement, which takes about 10 ms.
    private static let part = 8192
    /// Numbers explored for one reader; the next reader continues from there.
    private static let most: Int64 = 16 << 20
    /// Owners explored at the same time; others have to wait for their next reader.
    private static let bound = 2

    private let running = Mutex<Set<Place>>([])

    /// Explores both directions from a void number, in the background.
    func explore(_ number: Int64, of owner: Int64, in table: NumberedTable, _ store: MySQLStore) {
        let place = Place(scope: table.scope, owner: owner)
        let isFirst = running.withLock { $0.count < Self.bound && $0.insert(place).inserted }
        guard isFirst else { return }
        Task {
            // After a failure, the next reader walks over the same rows, and tries again.
            for upwards in [true, false] {
                try? await Self.explore(number, upwards: upwards, of: owner, in: table, store)
            }
            running.withLock { _ = $0.remove(place) }
        }
    }

    /// Walks from a void number to the end of its run, and records the walked part after each statement.
    static func explore(
        _ start: Int64, upwards: Bool, of owner: Int64, in table: NumberedTable, _ store: MySQLStore
    ) async throws {
        var number = start
        while abs(number - start) < most {
            let from = number
            let next = try await store.scan(within: .seconds(5)) { connection in
                try step(from, upwards: upwards, of: owner, in: table, connection)
            }
            guard let next else { return }
            number = next
        }
    }

    /// - Returns: the first number that is not explored yet; nil at the end of the run.
    private static func step(
        _ start: Int64, upwards: Bool, of owner: Int64, in table: NumberedTable, _ connection: isolated MySQLConnection
    ) throws -> Int64? {
        let runs = VoidRuns(table: table)
        if let known = try runs.run(at: start, of: owner, connection) {
            return upwards ? known.upperBound + 1 : known.lowerBound - 1
        }
        var (number, goesOn, seen) = (start, true, 0)
        try connection.query(
            """
            SELECT number, batch_id FROM \(table.byNumber)
            WHERE \(table.owner) = ? AND number \(upwards ? ">=" : "<=") ?
            ORDER BY number \(upwards ? "ASC" : "DESC") LIMIT \(part)
            """, [.integer(owner), .integer(start)]
        ) { row in
            goesOn = row.integer(0) == number && row.integer(1) == BatchID.void
            seen += 1
            if goesOn { number += upwards ? 1 : -1 }
            return goesOn
        }
        if number != start {
            let found = upwards ? start...number - 1 : number + 1...start
            try connection.transaction { try runs.record(found, of: owner, $0) }
        }
        return goesOn && seen == part ? number : nil
    }
}
