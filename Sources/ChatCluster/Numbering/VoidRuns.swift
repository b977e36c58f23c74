import MySQLClient

/// Records of long runs of an owner's void numbers, so that readers skip them in one step.
///
/// A void number stays void for good, so a record stays true. Records may be missing: an older server voids numbers without
/// recording them. A reader then walks over the rows and records the run (`VoidScout`).
struct VoidRuns: Sendable {
    /// The length of a run that gets a record.
    static let least: Int64 = 256
    /// How many neighbouring runs one record merges.
    private static let merged = 64

    let table: NumberedTable

    /// The run that contains a number, or the next one in a direction.
    func nearest(
        to number: Int64, upwards: Bool, of owner: Int64, _ connection: isolated MySQLConnection
    ) throws -> ClosedRange<Int64>? {
        try connection.first(
            """
            SELECT first_number, last_number FROM void_runs
            WHERE scope = ? AND scope_id = ? AND \(upwards ? "last_number >= ?" : "first_number <= ?")
            ORDER BY \(upwards ? "last_number" : "first_number DESC") LIMIT 1
            """, [.integer(table.scope.rawValue), .integer(owner), .integer(number)], Self.range)
    }

    /// The run that contains a number.
    func run(at number: Int64, of owner: Int64, _ connection: isolated MySQLConnection) throws -> ClosedRange<Int64>? {
        let run = try nearest(to: number, upwards: false, of: owner, connection)
        return run.flatMap { $0.contains(number) ? $0 : nil }
    }

    /// Records that all of these numbers have void rows, committed or stored by the same transaction. Merges adjacent
    /// runs.
    func record(_ numbers: ClosedRange<Int64>, of owner: Int64, _ connection: isolated MySQLConnection) throws {
        let place = [MySQLValue.integer(table.scope.rawValue), .integer(owner)]
        let touching = try connection.rows(
            """
            SELECT first_number, last_number FROM void_runs
            WHERE scope = ? AND scope_id = ? AND last_number >= ? AND first_number <= ? LIMIT \(Self.merged)
            """, place + [.integer(numbers.lowerBound - 1), .integer(numbers.upperBound + 1)], Self.range)
        let first = min(numbers.lowerBound, touching.map(\.lowerBound).min() ?? .max)
        let last = max(numbers.upperBound, touching.map(\.upperBound).max() ?? .min)
        if touching == [first...last] { return }
        try connection.execute(
            """
            INSERT INTO void_runs (scope, scope_id, first_number, last_number) VALUES (?, ?, ?, ?)
            ON DUPLICATE KEY UPDATE last_number = GREATEST(last_number, VALUES(last_number))
            """, place + [.integer(first), .integer(last)])
        for old in touching where old.lowerBound != first {
            try connection.execute(
                "DELETE FROM void_runs WHERE scope = ? AND scope_id = ? AND first_number = ?",
                place + [.integer(old.lowerBound)])
        }
    }

    /// Records the long runs among these numbers.
    ///
    /// - Parameter numbers: ascending; their rows are stored by the same transaction.
    func recordRuns(of numbers: [Int64], of owner: Int64, _ connection: isolated MySQLConnection) throws {
        for run in numbers.runs where run.count >= Self.least { try record(run, of: owner, connection) }
    }

    private static func range(_ row: borrowing MySQLRow) -> ClosedRange<Int64> {
        row.integer(0)...max(row.integer(0), row.integer(1))
    }
}

extension Array<Int64> {
    /// The runs of ascending numbers.
    var runs: [ClosedRange<Int64>] {
        var runs: [ClosedRange<Int64>] = []
        for number in self {
            if let last = runs.last, last.upperBound + 1 == number {
                runs[runs.count - 1] = last.lowerBound...number
            } else {
                runs.append(number...number)
            }
        }
        return runs
    }
}

extension ClosedRange<Int64> {
    /// Ranges of at most `size` numbers, in order.
    func parts(of size: Int64) -> [ClosedRange<Int64>] {
        stride(from: lowerBound, through: upperBound, by: Int(size)).map { $0...Swift.min(upperBound, $0 + size - 1) }
    }
}
