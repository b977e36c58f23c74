import ChatCore
import Logging
import MySQLClient

extension NumberedAppend {
    /// Stores the entries of owners that no other transaction has locked, one owner after the other in one transaction,
    /// and answers `.held` to the others.
    mutating func storePastHeld() async throws(MySQLError) {
        let (pass, proposed, time) = (HeldPass(self), batch, retry.remaining)
        let (tried, held, refused, failure) = try await log.run(in: epoch, within: time) { connection in
            var (batch, held, refused) = (proposed, Set<Int64>(), [Int: ChatError]())
            do {
                try connection.withoutLockWaits { try pass.store(&batch, &held, &refused, within: time, $0) }
                return (batch, held, refused, MySQLError?.none)
            } catch let error as MySQLError {
                return (batch, held, refused, error)
            }
        }
        batch = tried
        // Whatever happened to the others: these are not stored, and leave the batch.
        for entry in batch.open where held.contains(batch.owners[entry]) {
            fates[entry] = .refused(.held)
            batch.settle(entry)
        }
        for owner in held { log.spares.keep(batch.takeBack(from: owner), of: owner) }
        // Refused entries had numbers, which are void now.
        plan = batch.plan.leavingOut(refused.keys)
        refuse(refused)
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

    /// - Parameters:
    ///   - held: gets the skipped owners, also if an error is thrown.
    ///   - refused: gets the entries whose authors may not store them.
    func store(
        _ batch: inout NumberedBatch, _ held: inout Set<Int64>, _ refused: inout [Int: ChatError],
        within time: Duration, _ connection: isolated MySQLConnection
    ) throws {
        let deadline = ContinuousClock.now + time
        var (tried, found, refusals) = (batch, held, refused)
        defer { (batch, held, refused) = (tried, found, refusals) }
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
                    var plan = NumberedBatch.Plan(rows: rows[owner] ?? [], voids: voids[owner] ?? [])
                    var numbered = tried
                    let out: [Int: ChatError]
                    if tried.wanted.contains(where: { $0.owner == owner }) {
                        out = try log.takeLocked(&numbered, for: entries, of: owner, connection)
                        plan = NumberedBatch.Plan(
                            rows: numbered.plan.rows.filter { $0.place.owner == owner }, voids: plan.voids)
                    } else {
                        out = try AuthorCheck.refusals(of: plan.rows.map(\.entry), in: entries, connection)
                    }
                    try store(plan.leavingOut(out.keys), tried.id, connection)
                    refusals.merge(out) { $1 }
                    tried = numbered
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
        _ plan: NumberedBatch.Plan, _ id: Int64, _ connection: isolated MySQLConnection
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
