import ChatCore
import MySQLClient

/// A walk along an owner's rows in the direction of a page, without void rows.
///
/// Without void rows it costs nothing extra: all rows are read, and void ones are skipped here. If a part of the walk
/// was mostly void, it reads the runs of void numbers (`VoidRuns`) and jumps over them; between them the database
/// filters void rows.
struct NumberedWalk {
    /// Rows per statement: more than a page. In parts, because the server sends all rows that a statement finds.
    private static let part = 1024
    /// How many numbers without a message start an exploration.
    private static let long: Int64 = 1024

    let table: NumberedTable
    let owner: Int64
    /// The first columns of every row.
    static let columns = "number, batch_id"
    /// The selected columns; they begin with `Self.columns`.
    let columns: String
    let upwards: Bool
    /// Called with an unrecorded void number.
    let metVoids: (Int64) -> Void
    /// Numbers that one statement may walk over unrecorded void rows, in about 100 ms.
    var blindStretch: Int64 = 1 << 17
    /// Exclusive.
    private var lower: Int64
    private var upper: Int64

    init(
        _ table: NumberedTable, of owner: Int64, _ page: Page, columns: String, metVoids: @escaping (Int64) -> Void
    ) {
        self.table = table
        self.owner = owner
        self.columns = columns
        self.upwards = page.walksUp
        self.metVoids = metVoids
        self.lower = max(page.lowerBound, 0)
        self.upper = min(page.upperBound, NumberedTable.lastNumber + 1)
    }

    /// The result of a statement.
    private struct Part {
        var rows = 0
        var voids = 0
        var goesOn = true

        func isFull(_ limit: Int) -> Bool { rows == limit }
        var isMostlyVoid: Bool { 2 * voids > rows }
    }

    /// Passes up to `limit` rows to `each`, until it returns false.
    mutating func run(
        limit: Int, _ connection: isolated MySQLConnection, each: (borrowing MySQLRow) throws -> Bool
    ) throws {
        var (left, meetsVoids) = (limit, false)
        while left > 0, lower < upper - 1 {
            let size = min(left, Self.part)
            if meetsVoids {
                let found = try passVoids(size, connection, each)
                guard found.part.goesOn else { return }
                left -= found.part.rows
                meetsVoids = found.goesOnAmongVoids
            } else {
                let part = try read(from: lower, to: upper, limit: size, leavesOutVoids: false, connection, each)
                guard part.goesOn, part.isFull(size) else { return }
                left -= part.rows - part.voids
                meetsVoids = part.isMostlyVoid
            }
        }
    }

    /// Continues where void rows are likely.
    private mutating func passVoids(
        _ limit: Int, _ connection: isolated MySQLConnection, _ each: (borrowing MySQLRow) throws -> Bool
    ) throws -> (part: Part, goesOnAmongVoids: Bool) {
        let start = upwards ? lower + 1 : upper - 1
        let run = try VoidRuns(table: table).nearest(to: start, upwards: upwards, of: owner, connection)
        if let run, run.contains(start) {
            jump(over: run)
            return (Part(), false)
        }
        let far = upwards ? start + blindStretch : start - blindStretch
        let (stop, isAtRun): (Int64, Bool)
        if upwards {
            stop = min(upper, far, run?.lowerBound ?? .max)
            isAtRun = stop == run?.lowerBound
        } else {
            stop = max(lower, far, run?.upperBound ?? .min)
            isAtRun = stop == run?.upperBound
        }
        let part = try read(
            from: upwards ? lower : stop, to: upwards ? stop : upper, limit: limit, leavesOutVoids: true, connection,
            each)
        guard part.goesOn else { return (part, false) }
        if part.isFull(limit) { return (part, true) }
        // No row is left before the stop; the stop itself is next.
        if upwards { lower = max(lower, stop - 1) } else { upper = min(upper, stop + 1) }
        if isAtRun, let run { jump(over: run) }
        return (part, false)
    }

    private mutating func jump(over run: ClosedRange<Int64>) {
        if upwards { lower = max(lower, run.upperBound) } else { upper = min(upper, run.lowerBound) }
    }

    private mutating func read(
        from lower: Int64, to upper: Int64, limit: Int, leavesOutVoids: Bool, _ connection: isolated MySQLConnection,
        _ each: (borrowing MySQLRow) throws -> Bool
    ) throws -> Part {
        var part = Part()
        var place = upwards ? lower : upper
        try connection.query(
            """
            SELECT \(columns) FROM \(table.byNumber)
            WHERE \(table.owner) = ? AND number > ? AND number < ?\(leavesOutVoids ? " AND batch_id >= 0" : "")
            ORDER BY number \(upwards ? "ASC" : "DESC") LIMIT ?
            """, [.integer(owner), .integer(lower), .integer(upper), .integer(Int64(limit))]
        ) { row in
            let number = row.integer(0)
            if leavesOutVoids { lookForLong(from: place, to: number) }
            place = number
            part.rows += 1
            if row.integer(1) < 0 {
                part.voids += 1
            } else {
                part.goesOn = try each(row)
            }
            return part.goesOn
        }
        if leavesOutVoids, part.goesOn, !part.isFull(limit) { lookForLong(from: place, to: upwards ? upper : lower) }
        if upwards { self.lower = max(self.lower, place) } else { self.upper = min(self.upper, place) }
        return part
    }

    /// A run between two rows that are not void, or an end.
    private func lookForLong(from place: Int64, to next: Int64) {
        guard abs(next - place) > Self.long else { return }
        metVoids(upwards ? place + 1 : place - 1)
    }
}
