import ChatCore
import Logging
import MySQLClient

/// An entry that gets a number within its owner.
protocol NumberedEntry: Sendable {
    var owner: Int64 { get }
    var key: IdempotencyKey? { get }
    var origin: Origin? { get }
    var tenant: Tenant.ID { get }
    /// The chat of a message; nil for what is none.
    var sentTo: Chat.ID? { get }
    var author: Author { get }
}

/// The outcome of an entry.
enum Fate: Sendable {
    case stored(number: Int64)
    /// An earlier request with its key stored it.
    case replayed(number: Int64, at: Timestamp)
    case refused(ChatError)
}

/// Stores one batch in the database, and retries after failures until its deadline.
///
/// Numbers come from Redis, one counter for each owner, before the transaction. The database's unique index over
/// (owner, number) is the fence. So no lock outlives a transaction, and each failure has an answer:
///
/// - *A number is taken.* If our own batch took it (the connection was lost after the commit), the batch is done. If
///   another writer did, Redis was behind, or a hole was closed before a slow writer arrived. Then the counter is
///   raised to the table's highest number, and new numbers are taken; no client has seen the old ones.
/// - *Redis proposes a number out of bounds* (`NumberSource`): the database is asked, and the counter is corrected.
/// - *Redis gives no number*: the transaction locks the owners' rows, and continues after their highest numbers.
/// - *Another transaction holds rows that the batch needs*: after a second the entries that need them are answered
///   `.held` (`storePastHeld`); the rest is stored.
/// - *The database fails temporarily* (a lost connection, a deadlock, a read-only primary): the same rows are written
///   again with the same numbers. If the first attempt was committed, the fence shows it.
/// - *An entry exceeds the server's packet size*: it alone is refused; the others are spread over statements.
/// - *Time is up*: numbers that are certainly not stored are left to the next batch (`SpareNumbers`), so that refused
///   requests leave no holes.
struct NumberedAppend<Entry: NumberedEntry> {
    /// Writes the rows within the transaction. A row's `entry` is its place in the batch.
    typealias Insert =
        @Sendable (
            _ rows: [NumberedBatch.Row], _ voids: [OwnedNumber], _ batchID: Int64, _ stripe: Int64,
            isolated MySQLConnection
        )
        throws
        -> Void

    private enum Step {
        case lookForKeys, commit, lookForRows, lookForOwners
    }

    /// How often a counter is checked before the batch proceeds without it.
    private static var judgements: Int { 3 }

    let log: NumberedLog
    let entries: [Entry]
    let keys: IdempotencyTable
    let insert: Insert
    var batch: NumberedBatch
    /// The rows of the last attempt.
    var plan = NumberedBatch.Plan(rows: [], voids: [])
    var fates: [Fate?]
    var retry: Retry
    /// The stripe of the last attempt.
    private var stripe: Int64 = 0
    private var heldStripe: StripeHeld?
    private var hasMetHeldStripe = false
    /// The epoch in which the owners were confirmed last; `.max` before.
    var epoch = UInt64.max
    /// Whether its numbers come from Redis, and no transaction that may be open or committed has used any of them.
    var areNumbersSpare = true

    init(
        _ entries: [Entry], to log: NumberedLog, at now: Timestamp, within time: Duration, insert: @escaping Insert
    ) {
        self.log = log
        self.entries = entries
        self.keys = IdempotencyTable(scope: log.table.scope, now: now)
        self.insert = insert
        self.batch = NumberedBatch(owners: entries.map(\.owner))
        self.fates = entries.map { _ in nil }
        self.retry = Retry(patience: min(log.patience, time))
    }

    /// - Returns: one outcome for each entry, in order.
    /// - Throws: `.outcomeUnknown` if the rows may be stored; `.unavailable` if they are not.
    mutating func run() async throws(ChatError) -> [Fate] {
        var step = isKeyed ? Step.lookForKeys : .commit
        var mayBeStored = false
        var isPastHeld = false
        while true {
            do {
                try await confirmOwners()
                switch step {
                case .lookForKeys:
                    try await findReplays()
                    step = .commit
                case .commit:
                    try await takeNumbers()
                    if isPastHeld, !mayBeStored { try await storePastHeld() } else { try await commit() }
                    return settled()
                case .lookForRows:
                    if try await findOwnRows() { return settled() }
                    step = isKeyed ? .lookForKeys : .commit
                case .lookForOwners:
                    try await dropOrphans()
                    step = .commit
                }
            } catch {
                if step == .commit, error.leavesInDoubt {
                    mayBeStored = true
                    areNumbersSpare = false
                }
                switch error.kind {
                case .duplicateKey: step = .lookForRows
                case .foreignKey: step = .lookForOwners
                // If only stripes are held for the first time, others are drawn. Rows that may be stored already are
                // not set apart: their own transaction may be the one that holds the lock.
                case .lockTimeout:
                    let isStripes = await avoidsHeldStripes()
                    isPastHeld = step == .commit && !mayBeStored && !isStripes
                default: break
                }
                guard await retry.mayGoOn(after: error) else {
                    if areNumbersSpare, log.pool.epoch == epoch {
                        for owner in Set(batch.owners) { log.spares.keep(batch.takeBack(from: owner), of: owner) }
                    }
                    throw mayBeStored ? .outcomeUnknown : ChatError(driver: error)
                }
            }
        }
    }

    /// - Returns: whether only stripes were held, for the first time: they are avoided from now on.
    private mutating func avoidsHeldStripes() async -> Bool {
        guard let met = heldStripe else { return false }
        heldStripe = nil
        let held = try? await log.pool.run(within: retry.remaining) { connection in
            try ApplicationCounts.held(of: met.applications, connection)
        }
        log.stripes.avoid((held ?? []).union([stripe]))
        defer { hasMetHeldStripe = true }
        return !hasMetHeldStripe
    }

    private var isKeyed: Bool { entries.contains { $0.key != nil } }

    private func settled() -> [Fate] {
        if log.pool.epoch == epoch { log.known.see(plan.rows.map(\.place) + plan.voids) }
        var fates = fates
        for row in plan.rows { fates[row.entry] = .stored(number: row.place.number) }
        return fates.map { $0! }
    }

    /// Answers the entries whose idempotency key is known.
    private mutating func findReplays() async throws(MySQLError) {
        let keyed = batch.open.filter { entries[$0].key != nil }
        let places = keyed.map { IdempotencyTable.Place(owner: entries[$0].owner, key: entries[$0].key!.text) }
        let traces = try await log.run(in: epoch, within: retry.remaining) { [keys] in try keys.traces(of: places, $0) }
        for (entry, place) in zip(keyed, places) {
            guard let trace = traces[place], !trace.isExpired else { continue }
            let isSame = trace.fingerprint == entries[entry].key!.fingerprint
            fates[entry] = isSame ? .replayed(number: trace.number, at: trace.createdAt) : .refused(.keyReused)
            batch.settle(entry)
        }
    }

    /// Takes numbers that an earlier batch left. Numbers below the highest stored one are dropped: no message may
    /// appear before one that is answered already.
    private mutating func takeSpares() async throws(MySQLError) {
        let owners = log.spares.owners(among: batch.wanted.map(\.owner))
        guard !owners.isEmpty else { return }
        let highest = try await log.highestNumbers(of: owners, within: retry.remaining)
        for (owner, count) in batch.wanted {
            batch.give(owner, numbers: log.spares.take(count, of: owner, above: highest[owner] ?? 0))
        }
    }

    /// Asks Redis for the wanted numbers. Numbers that it does not give are taken within the transaction.
    ///
    /// An implausible counter is compared with the database, and corrected unless another process has moved it
    /// meanwhile. Then it is checked again, a few times.
    private mutating func takeNumbers() async throws(MySQLError) {
        try await takeSpares()
        try await dropLostCounters()
        var wishes = batch.wanted.map { owner, count in
            NumberSource.Wish(owner: owner, count: count, floor: floor(of: owner))
        }
        for _ in 0..<Self.judgements where !wishes.isEmpty {
            let answers = await log.numbers.take(wishes)
            var refused: [(wish: NumberSource.Wish, held: String)] = []
            for (wish, answer) in zip(wishes, answers) {
                switch answer {
                case .last(let last):
                    batch.give(wish.owner, last: last, count: wish.count)
                    report(wish)
                case .refused(let held): refused.append((wish, held))
                case .none: break
                }
            }
            guard !refused.isEmpty else { return }
            _ = try await log.highestNumbers(of: refused.map(\.wish.owner), within: retry.remaining)
            wishes = refused.map { wish, held in
                NumberSource.Wish(owner: wish.owner, count: wish.count, floor: floor(of: wish.owner), refused: held)
            }
        }
    }

    /// The highest number that is stored or held by this batch.
    private func floor(of owner: Int64) -> Int64 { max(log.known[owner], batch.highest(of: owner)) }

    /// Logs a corrected counter, unless it was missing, or correct after all.
    private func report(_ wish: NumberSource.Wish) {
        guard let held = wish.refused, !held.isEmpty, !wish.accepts(held) else { return }
        log.logger.warning(
            "Redis counter out of bounds: corrected",
            metadata: [
                "key": "\(log.table.numberKey(wish.owner))", "held": "\(held)", "highest": "\(wish.floor)",
            ])
    }

    private mutating func commit() async throws(MySQLError) {
        plan = batch.plan
        stripe = log.stripes.draw()
        guard !plan.isEmpty || !batch.wanted.isEmpty else { return }
        let (log, entries, keys, insert, proposed, proposal) = (log, entries, keys, insert, batch, plan)
        let drawn = stripe
        // Return the numbers even if the commit failed: they may be in the database.
        let tried = try await log.run(in: epoch, within: retry.remaining) { connection in
            var attempt = Attempt(batch: proposed, plan: proposal)
            var isSent = false
            do {
                try connection.transaction { connection in
                    isSent = true
                    if attempt.batch.wanted.isEmpty {
                        attempt.refused = try AuthorCheck.refusals(
                            of: attempt.plan.rows.map(\.entry), in: entries, connection)
                    } else {
                        attempt.areNumbersSpare = false
                        attempt.refused = try log.takeLocked(&attempt.batch, for: entries, connection)
                        attempt.plan = attempt.batch.plan
                    }
                    attempt.plan = attempt.plan.leavingOut(attempt.refused.keys)
                    let plan = attempt.plan
                    try insert(plan.rows, plan.voids, attempt.batch.id, drawn, connection)
                    let traces = plan.rows.compactMap { row in
                        entries[row.entry].key.map {
                            NewTrace(owner: row.place.owner, key: $0, number: row.place.number)
                        }
                    }
                    try keys.remember(traces, connection)
                    attempt.changes = try log.recordChanges(of: plan.rows, attempt.batch.id, connection)
                }
            } catch let held as StripeHeld {
                attempt.failure = held.cause
                attempt.heldStripe = held
            } catch let error as MySQLError {
                attempt.failure = error
            } catch let tooLarge as EntriesTooLarge {
                attempt.tooLarge = tooLarge
            }
            // If the rollback was not confirmed either, the transaction may stay open for a while.
            if isSent, attempt.failure != nil, !connection.isUsable { attempt.areNumbersSpare = false }
            return attempt
        }
        (batch, plan, heldStripe) = (tried.batch, tried.plan, tried.heldStripe)
        if !tried.areNumbersSpare { areNumbersSpare = false }
        // Whatever happened to the others.
        refuse(tried.refused)
        if let failure = tried.failure { throw failure }
        guard let tooLarge = tried.tooLarge else {
            if let changes = tried.changes { log.changes.see(changes) }
            return
        }
        let sentence = "Body is too long for the database (max_allowed_packet is \(tooLarge.packet) bytes)"
        for entry in tooLarge.entries {
            fates[entry] = .refused(.invalid([sentence]))
            batch.settle(entry)
        }
        log.logger.warning(
            "Messages larger than max_allowed_packet refused",
            metadata: ["count": "\(tooLarge.entries.count)", "max_allowed_packet": "\(tooLarge.packet)"])
        try await commit()
    }

    /// Answers entries whose authors may not store them.
    mutating func refuse(_ refused: [Int: ChatError]) {
        for (entry, error) in refused {
            fates[entry] = .refused(error)
            batch.settle(entry)
        }
    }

    /// The result of a transaction.
    private struct Attempt: Sendable {
        var batch: NumberedBatch
        var plan: NumberedBatch.Plan
        var areNumbersSpare = true
        /// Why entries were left out.
        var refused: [Int: ChatError] = [:]
        var failure: MySQLError?
        var heldStripe: StripeHeld?
        var changes: ChangeRecords.Missing?
        var tooLarge: EntriesTooLarge?
    }

    /// Looks up which batch has our numbers. Numbers of another batch are lost, and their owners' counters are behind.
    ///
    /// - Returns: whether our own batch has them: then all of it was committed.
    private mutating func findOwnRows() async throws(MySQLError) -> Bool {
        let places = plan.rows.map(\.place) + plan.voids
        let (log, id) = (log, batch.id)
        let found = try await log.pool.run(within: retry.remaining) { try log.batches(at: places, $0) }
        if found.values.contains(id) { return true }
        guard !found.isEmpty else { return false }
        log.logger.notice(
            "Numbers already taken", metadata: ["of": "\(log.table.name)", "count": "\(found.count)"])
        batch.lose(found.keys)
        _ = try await log.highestNumbers(of: Array(Set(found.keys.map(\.owner))), within: retry.remaining)
        return false
    }

    /// Refuses entries whose owner no longer exists.
    private mutating func dropOrphans() async throws(MySQLError) {
        let (log, owners) = (log, Array(Set(batch.open.map { entries[$0].owner })))
        let existing = try await log.pool.run(within: retry.remaining) { try log.existing(owners, $0) }
        for entry in batch.open where !existing.contains(entries[entry].owner) {
            fates[entry] = .refused(.notFound)
            batch.settle(entry)
        }
        batch.forget(owners.filter { !existing.contains($0) })
    }
}
