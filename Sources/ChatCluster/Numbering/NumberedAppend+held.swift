import ChatCore
import Logging
import MySQLClient

extension NumberedAppend {
    /// Stores the entries of owners that no other transaction has locked, one owner after the other in one transaction,
    /// and answers `.held` to the others.
    mutating func storePastHeld() async throws(MySQLError) {
        let (pass, proposed, time) = (HeldPass(self), batch, retry.remaining)
        let (tried, held, failure) = try await log.run(in: epoch, within: time) { connection in
            var (batch, held) = (proposed, Set<Int64>())
            do {
                try connection.withoutLockWaits { try pass.store(&batch, &held, within: time, $0) }
                return (batch, held, MySQLError?.none)
            } catch let error as MySQLError {
                return (batch, held, error)
            }
        }
        batch = tried
        // Whatever happened to the others: these are not stored, and leave the batch.
        for entry in batch.open where held.contains(batch.owners[entry]) {
            fates[entry] = .refused(.held)
            batch.settle(entry)
        }
        for owner in held { log.spares.keep(batch.takeBack(from: owner), of: owner) }
        plan = batch.plan
        if !held.isEmpty {
            log.logger.notice(
                "Rows locked by another transaction: affected writes wait",
                metadata: [
                    "of": "\(log.table.ownerTable)", "count": "\(held.count)", "id": "\(held.min() ?? 0)",
                ])
        }
        if let failure {
            areNumbersSpare = false
            throw failure
        }
    }
}

/// One pass over a batch's owners on one connection.
private struct HeldPass<Entry: NumberedEntry>: Sendable {
    private let log: NumberedLog
    private let entries: [Entry]
    private let keys: IdempotencyTable
    private let insert: NumberedAppend<Entry>.Insert

    init(_ append: NumberedAppend<Entry>) {
        self.log = append.log
        self.entries = append.entries
        self.keys = append.keys
        self.insert = append.insert
    }

    /// - Parameter held: gets the skipped owners, also if an error is thrown.
    func store(
        _ batch: inout NumberedBatch, _ held: inout Set<Int64>, within time: Duration,
        _ connection: isolated MySQLConnection
    ) throws {
        let deadline = ContinuousClock.now + time
        var (tried, found) = (batch, held)
        defer { (batch, held) = (tried, found) }
        let owners = Set(batch.open.map { batch.owners[$0] }).sorted()
        let rows = Dictionary(grouping: batch.plan.rows, by: \.place.owner)
        let voids = Dictionary(grouping: batch.plan.voids, by: \.owner)
        try connection.transaction { connection in
            let unheld = try log.unheld(owners, connection)
            found.formUnion(owners.filter { !unheld.contains($0) })
            for owner in Set(owners).union(voids.keys).sorted() where !found.contains(owner) {
                // If each locked owner costs a second, the last ones are not tried.
                guard deadline > .now else {
                    found.insert(owner)
                    continue
                }
                try connection.run("SAVEPOINT of_owner")
                do {
                    var plan = (rows: rows[owner] ?? [], voids: voids[owner] ?? [])
                    if tried.wanted.contains(where: { $0.owner == owner }) {
                        var numbered = tried
                        try log.takeLocked(&numbered, of: owner, connection)
                        plan.rows = numbered.plan.rows.filter { $0.place.owner == owner }
                        try store(plan, tried.id, connection)
                        tried = numbered
                    } else {
                        try store(plan, tried.id, connection)
                    }
                } catch let cause as MySQLError where cause.kind == .lockTimeout {
                    found.insert(owner)
                    // If the server has rolled back everything, the savepoint is gone: start again without this owner.
                    do { try connection.run("ROLLBACK TO SAVEPOINT of_owner") } catch { throw cause }
                }
            }
        }
    }

    /// Stores one owner's rows; with another stripe if the first is held.
    private func store(
        _ plan: (rows: [NumberedBatch.Row], voids: [OwnedNumber]), _ id: Int64, _ connection: isolated MySQLConnection
    ) throws {
        try connection.run("SAVEPOINT of_stripe")
        for stripesLeft in (0..<4).reversed() {
            do {
                try insert(plan.rows, plan.voids, id, log.stripes.draw(), connection)
                let traces = plan.rows.compactMap { row in
                    entries[row.entry].key.map { NewTrace(owner: row.place.owner, key: $0, number: row.place.number) }
                }
                try keys.remember(traces, connection)
                let lowest = plan.rows.map(\.place).min()
                return try LogChanges.record(
                    [lowest].compactMap(\.self), of: log.table.scope, batch: id, connection)
            } catch let held as StripeHeld {
                guard stripesLeft > 0 else { throw held.cause }
                do { try connection.run("ROLLBACK TO SAVEPOINT of_stripe") } catch { throw held.cause }
            }
        }
    }
}
