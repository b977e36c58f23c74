import ChatCore
import Logging
import MySQLClient

/// A numbered table and the source of its numbers, shared by all batches of the log.
struct NumberedLog: Sendable {
    let table: NumberedTable
    let pool: MySQLPool
    let numbers: NumberSource
    let known = KnownNumbers()
    let spares = SpareNumbers()
    let changes = ChangeRecords()
    let stripes = CountStripes()
    /// How long a batch is retried.
    let patience: Duration
    let logger: Logger

    /// Places per statement.
    private static let statementPlaces = 256

    /// The highest stored number of each owner, including void ones, without owners that have none. Adds them to the
    /// known numbers.
    func highestNumbers(of owners: [Int64], within time: Duration) async throws(MySQLError) -> [Int64: Int64] {
        try await pool.run(within: time) { try highestNumbers(of: owners, $0) }
    }

    func highestNumbers(
        of owners: [Int64], _ connection: isolated MySQLConnection
    ) throws -> [Int64: Int64] {
        var highest: [Int64: Int64] = [:]
        for some in owners.chunks(of: Self.statementPlaces).map(\.padded) {
            // One look-up at the end of each owner's range in the index; MAX would scan the range.
            try connection.query(
                """
                SELECT owners.id, (
                    SELECT number FROM \(table.byNumber)
                    WHERE \(table.owner) = owners.id AND number <= \(NumberedTable.lastNumber)
                    ORDER BY number DESC LIMIT 1)
                FROM \(table.ownerTable) AS owners WHERE owners.id IN (\(some.map { _ in "?" }.joined(separator: ", ")))
                """,
                some.map { .integer($0) }
            ) { row in
                if !row.isNull(1) { highest[row.integer(0)] = row.integer(1) }
                return true
            }
        }
        known.see(highest.map { OwnedNumber(owner: $0.key, number: $0.value) })
        return highest
    }

    /// Takes the wanted numbers after the owners' highest ones, in a transaction that has locked the owners' rows.
    ///
    /// - Parameter owner: only for this owner; nil for all.
    /// - Returns: the entries that are not stored (`AuthorCheck`). Their authors' rows are locked before the owners'.
    func takeLocked<Entry: NumberedEntry>(
        _ batch: inout NumberedBatch, for entries: [Entry], of owner: Int64? = nil,
        _ connection: isolated MySQLConnection
    ) throws -> [Int: ChatError] {
        let open = batch.open.filter { owner == nil || entries[$0].owner == owner }
        let refused = try AuthorCheck.refusals(of: open, in: entries, only: [.authors], connection)
        try takeLocked(&batch, of: owner, connection)
        return try AuthorCheck.refusals(of: open, in: entries, only: [.places], connection).merging(refused) { $1 }
    }

    private func takeLocked(
        _ batch: inout NumberedBatch, of owner: Int64?, _ connection: isolated MySQLConnection
    ) throws {
        let wanted = batch.wanted.filter { owner == nil || $0.owner == owner }
        for some in wanted.chunks(of: Self.statementPlaces).map(\.padded) {
            _ = try connection.rows(
                """
                SELECT id FROM \(table.ownerTable) WHERE id IN (\(some.map { _ in "?" }.joined(separator: ", ")))
                ORDER BY id FOR UPDATE
                """,
                some.map { .integer($0.owner) }
            ) { $0.integer(0) }
        }
        let highest = try highestNumbers(of: wanted.map(\.owner), connection)
        for (owner, count) in wanted {
            let floor = max(highest[owner] ?? 0, batch.highest(of: owner), 0)
            batch.give(owner, last: floor + count, count: count)
        }
    }

    /// Records the owners of new rows as changed, unless a fresh record covers them (`LogChanges`).
    ///
    /// - Returns: the recorded owners, for `changes` after the commit.
    func recordChanges(
        of rows: [NumberedBatch.Row], _ batch: Int64, _ connection: isolated MySQLConnection
    ) throws -> ChangeRecords.Missing {
        let lowest = Dictionary(rows.map { ($0.place.owner, $0.place) }, uniquingKeysWith: min)
        let missing = changes.missing(lowest.keys)
        try LogChanges.record(missing.owners.compactMap { lowest[$0] }, of: table.scope, batch: batch, connection)
        return missing
    }

    /// The batch that wrote each of these rows; places without a row are left out.
    func batches(
        at places: [OwnedNumber], _ connection: isolated MySQLConnection
    ) throws -> [OwnedNumber: Int64] {
        var batches: [OwnedNumber: Int64] = [:]
        for some in places.chunks(of: Self.statementPlaces).map(\.padded) {
            // ORs of equalities: every engine resolves them by look-ups in the index.
            let condition = some.map { _ in "(\(table.owner) = ? AND number = ?)" }.joined(separator: " OR ")
            try connection.query(
                "SELECT \(table.owner), number, batch_id FROM \(table.byNumber) WHERE \(condition)",
                some.flatMap { [.integer($0.owner), .integer($0.number)] }
            ) { row in
                batches[OwnedNumber(owner: row.integer(0), number: row.integer(1))] = row.integer(2)
                return true
            }
        }
        return batches
    }

    /// The owners whose rows can be locked without waiting for another transaction. On MySQL only; on MariaDB the whole
    /// transaction does not wait (`withoutLockWaits`).
    func unheld(_ owners: [Int64], _ connection: isolated MySQLConnection) throws -> Set<Int64> {
        guard !connection.isMariaDB else { return Set(owners) }
        var unheld: Set<Int64> = []
        for some in owners.chunks(of: Self.statementPlaces).map(\.padded) {
            let marks = some.map { _ in "?" }.joined(separator: ", ")
            unheld.formUnion(
                try connection.rows(
                    "SELECT id FROM \(table.ownerTable) WHERE id IN (\(marks)) FOR SHARE SKIP LOCKED",
                    some.map { .integer($0) }
                ) { $0.integer(0) })
        }
        return unheld
    }

    /// The owners that exist.
    func existing(_ owners: [Int64], _ connection: isolated MySQLConnection) throws -> Set<Int64> {
        var existing: Set<Int64> = []
        for some in owners.chunks(of: Self.statementPlaces).map(\.padded) {
            let marks = some.map { _ in "?" }.joined(separator: ", ")
            existing.formUnion(
                try connection.rows(
                    "SELECT id FROM \(table.ownerTable) WHERE id IN (\(marks))", some.map { .integer($0) }
                ) { $0.integer(0) })
        }
        return existing
    }
}
