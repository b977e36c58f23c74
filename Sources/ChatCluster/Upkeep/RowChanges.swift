import MySQLClient

/// What was stored in a table after a position, found in its primary key: ids rise in the order of the inserts.
struct RowChanges: Sendable {
    struct Owner: Sendable {
        /// Of its new rows.
        var lowestNumber: Int64
        /// Whether one was stored by somebody else: no count of ours knows it.
        var isForeign: Bool
    }

    /// Rows a statement.
    private static let part = 10_000

    private(set) var owners: [Int64: Owner] = [:]
    /// How far the position may move: everything up to here is committed.
    private(set) var settled: Int64
    private(set) var rows = 0
    private(set) var isAtEnd = false
    private var last: Int64
    private var isSettled = true

    /// Whether there is nothing more to be found now: what comes after a row that may not be passed yet is as young.
    var isDone: Bool { isAtEnd || !isSettled }

    private init(after position: Int64) {
        self.settled = position
        self.last = position
    }

    /// Where a database starts that has no position yet. So many rows back, everything is committed, and it is little
    /// enough to be scanned at once; a walk sees to what came before.
    static func start(of table: NumberedTable, _ context: JobContext) async throws -> Int64 {
        max(0, try await end(of: table, context) - 1_000_000)
    }

    /// The highest id, 0 for none.
    static func end(of table: NumberedTable, _ context: JobContext) async throws -> Int64 {
        try await context.read { connection in
            try connection.first("SELECT IFNULL(MAX(id), 0) FROM \(table.name)") { $0.integer(0) } ?? 0
        }
    }

    /// Everything after a position, in bounded parts.
    ///
    /// - Parameters:
    ///   - limit: rows; what comes after them is left.
    ///   - each: gets the owners of each part.
    static func scan(
        _ table: NumberedTable, after position: Int64, limit: Int, _ stint: Stint, _ context: JobContext,
        each: ([Int64]) async throws -> Void = { _ in }
    ) async throws -> RowChanges {
        var changes = RowChanges(after: position)
        while !changes.isAtEnd, changes.rows < limit, try await stint.goesOn() {
            let (start, lag) = (changes.last, context.lag.components.seconds)
            let part = try await context.read { connection in
                try connection.rows(
                    // A row from the future is its writer's mistake, and must not keep the position for ever.
                    """
                    SELECT id, \(table.owner), number, batch_id = 0, created_at >= UTC_TIMESTAMP(6) - INTERVAL ? SECOND
                        AND created_at < UTC_TIMESTAMP(6) + INTERVAL 3600 SECOND
                    FROM \(table.name) WHERE id > ? ORDER BY id LIMIT \(Self.part)
                    """, [.integer(lag), .integer(start)], Row.init)
            }
            for row in part { changes.see(row) }
            changes.isAtEnd = part.count < Self.part
            try await each(Array(Set(part.map(\.place.owner))))
        }
        return changes
    }

    private mutating func see(_ row: Row) {
        rows += 1
        last = row.id
        if row.isYoung { isSettled = false }
        if isSettled { settled = row.id }
        let known = owners[row.place.owner]
        owners[row.place.owner] = Owner(
            lowestNumber: min(known?.lowestNumber ?? .max, row.place.number),
            isForeign: known?.isForeign == true || row.isForeign)
    }

    private struct Row: Sendable {
        let id: Int64
        let place: OwnedNumber
        let isForeign: Bool
        let isYoung: Bool

        init(_ row: borrowing MySQLRow) {
            self.id = row.integer(0)
            self.place = OwnedNumber(owner: row.integer(1), number: row.integer(2))
            self.isForeign = row.integer(3) != 0
            self.isYoung = row.integer(4) != 0
        }
    }
}
