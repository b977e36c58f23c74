import ChatCore
import Logging
import MySQLClient
import RedisClient

/// Walks the whole database while servers run: by owner and number, a bounded number of rows per statement, and one
/// large chat or a few small ones per snapshot.
///
/// A missing number may still be stored, so it is checked again later. Repairs lose nothing: a hole becomes void rows
/// (a writer that was only slow takes another number), a count gets the difference to its rows, and a row with an
/// invalid number gets the owner's next one.
struct MySQLVerifier {
    /// How long a number may be missing.
    private static let grace = Duration.seconds(2)
    /// The most holes that are checked again.
    private static let holesKept = 100_000
    /// How many holes may fail to close because a writer hangs within its transaction, at a few seconds each. After
    /// that the rest is only reported.
    private static let stuckTolerated = 3
    /// Chats per page, and messages per snapshot, unless a single chat has more.
    private static let (chatPage, snapshotRows) = (256, 20_000 as Int64)

    let store: MySQLStore
    /// One connection, with a long read time-out for the walk.
    let pool: MySQLPool
    let mends: Bool
    var report = StoreReport()
    private let progress: (Int64, Int64) -> Void
    private var expected: Int64 = 0
    private var walked: Int64 = 0
    private var holes: [Hole] = []
    private var hasMoreHoles = false

    init(
        configuration: ClusterConfiguration, mends: Bool, logger: Logger, progress: @escaping (Int64, Int64) -> Void
    ) async throws {
        self.store = try await MySQLStore(configuration, logger: logger)
        var mysql = configuration.mysql
        mysql.readTimeout = .seconds(3600)
        self.pool = MySQLPool(mysql, size: 1, logger: logger)
        self.mends = mends
        self.progress = progress
    }

    mutating func run() async throws -> StoreReport {
        // Without Redis, its counters are not verified.
        let redis = Task { [redis = store.redis] in try? await redis.run() }
        try? await store.redis.waitUntilConnected(timeout: .seconds(2))
        defer { redis.cancel() }
        // The engine's estimate, for the progress only.
        expected = try await read { connection in
            try connection.first(
                """
                SELECT table_rows FROM information_schema.tables
                WHERE table_schema = DATABASE() AND table_name = 'messages'
                """
            ) { $0.integer(0) } ?? 0
        }
        var last: Int64 = 0
        while true {
            let page = try await read { [last] connection in
                try connection.rows(
                    "SELECT id, token FROM applications WHERE id > ? AND removed_at IS NULL ORDER BY id LIMIT 500",
                    [.integer(last)]
                ) { (id: $0.integer(0), token: $0.text(1)) }
            }
            guard let end = page.last else { break }
            for application in page { try await verify(application.id, application.token) }
            last = end.id
        }
        try await verifyOrphans()
        try await verifyKeys()
        try await verifyChanges()
        try await verifyThreads()
        try await verifyVoidRuns()
        try await verifyHoles()
        try await verifyRows()
        for pool in [pool, store.scans, store.reads, store.writes] { await pool.close() }
        progress(report.messages, report.messages)
        return report
    }

    /// Runs a short access; retries transient errors.
    func read<Result: Sendable>(
        _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws(MySQLError) -> Result {
        var retry = Retry(patience: .seconds(60))
        while true {
            do throws(MySQLError) {
                return try await pool.run(within: .seconds(60), body)
            } catch {
                guard await retry.mayGoOn(after: error) else { throw error }
            }
        }
    }

    private func snapshot<Result: Sendable>(
        _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        try await read { connection in
            try connection.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return try connection.transaction(body)
        }
    }

    // MARK: Applications

    private mutating func verify(_ id: Int64, _ token: String) async throws {
        let name = "Application \(Tenant.Token(token).map(\.description) ?? "with a malformed token"), id \(id)"
        report.applications += 1
        if Tenant.Token(token) == nil { report.add(name) }
        var (findings, numbers, next) = (ApplicationFindings(), NumberFindings(), Int64.min)
        while true {
            let page = try await read { [next] connection in
                try connection.rows(
                    """
                    SELECT id, number, batch_id FROM \(NumberedTable.chats.byNumber)
                    WHERE application_id = ? AND number >= ? ORDER BY number LIMIT \(Self.chatPage)
                    """, [.integer(id), .integer(next)]
                ) { (id: $0.integer(0), number: $0.integer(1), isVoid: $0.integer(2) == BatchID.void) }
            }
            for chat in page { numbers.see(chat.number, isVoid: chat.isVoid) }
            let names = Dictionary(uniqueKeysWithValues: page.map { ($0.id, "\(name): chat \($0.number)") })
            try await verify(chats: page.map(\.id), names, &findings)
            guard page.count == Self.chatPage, let last = page.last else { break }
            next = last.number &+ 1
        }
        numbers.endVoids()
        try await settle(numbers, of: id, in: .chats, "\(name): chat")
        try await verifyCounters(of: [id: name], in: .chats)
        let counts = try await snapshot { [findings] in
            let found = try findings.count(id, $0)
            return [found.stored, found.rows]
        }
        for correction in ApplicationFindings.corrections(id, name, (counts[0], counts[1])) {
            try await settle(correction)
        }
        report.chats += counts[1].chats
        report.messages += counts[1].messages
        progress(walked, max(expected, walked))
    }

    private mutating func verify(
        chats ids: [Int64], _ names: [Int64: String], _ findings: inout ApplicationFindings
    ) async throws {
        let sizes = try await read { [log = store.messageLog] in try log.highestNumbers(of: ids, $0) }
        var (group, size): ([Int64], Int64) = ([], 0)
        for id in ids {
            let rows = sizes[id] ?? 0
            if !group.isEmpty, size + rows > Self.snapshotRows {
                try await verify(group: group, names, &findings)
                (group, size) = ([], 0)
            }
            group.append(id)
            size += min(rows, Self.snapshotRows)
        }
        if !group.isEmpty { try await verify(group: group, names, &findings) }
        try await verifyCounters(of: names, in: .messages)
    }

    /// - Parameter ids: chats to walk in one snapshot.
    private mutating func verify(
        group ids: [Int64], _ names: [Int64: String], _ findings: inout ApplicationFindings
    ) async throws {
        for chat in try await snapshot({ try ChatFindings.look(ids, $0) }) {
            let name = names[chat.id] ?? "Chat id \(chat.id)"
            for correction in chat.corrections(name) { try await settle(correction) }
            findings.see(chat, isMended: mends)
            let moved = try await settle(chat.rows, of: chat.id, in: .messages, "\(name): message")
            let below = chat.rows.strays.count { $0 < 1 } - moved.count { $0 < 1 }
            findings.see(messagesBelow: Int64(below))
            walked += chat.rows.count
        }
        progress(walked, max(expected, walked))
    }

    /// Keeps the holes for later, renumbers rows with invalid numbers, and records runs of void numbers.
    ///
    /// - Returns: the numbers that were replaced.
    @discardableResult
    private mutating func settle(
        _ rows: NumberFindings, of owner: Int64, in table: NumberedTable, _ name: String
    ) async throws -> [Int64] {
        for gap in rows.gaps {
            if holes.count < Self.holesKept {
                holes.append(Hole(owner: owner, numbers: gap, table: table, name: name))
            } else {
                hasMoreHoles = true
            }
        }
        if mends {
            for run in rows.voidRuns {
                try await read { connection in
                    try connection.transaction { try VoidRuns(table: table).record(run, of: owner, $0) }
                }
            }
        }
        guard !rows.strays.isEmpty else { return [] }
        var moved: [Int64] = []
        if mends {
            for (old, new) in try await Renumbering(table: table, pool: pool).run(owner) {
                report.addMended("\(name) \(old) was \(Self.wrong(old)) and is \(new) now")
                moved.append(old)
            }
        }
        for number in Set(rows.strays).subtracting(moved).sorted() {
            report.add("\(name) \(number) is \(Self.wrong(number))")
        }
        return moved
    }

    private static func wrong(_ number: Int64) -> String { number < 1 ? "below 1" : "above 2^53 - 1, in no list" }

    /// Reports a wrong count, or repairs it by adding the difference, which is correct despite concurrent appends.
    private mutating func settle(_ correction: Correction) async throws {
        guard mends else { return report.add(correction.problem) }
        // Not retried: after a lost connection it is unknown whether the commit took place.
        try await pool.run(within: .seconds(60)) { connection in
            _ = try connection.transaction { try $0.execute(correction.sql, correction.parameters) }
        }
        report.addMended(correction.problem)
    }

    // MARK: Holes

    private mutating func verifyHoles() async throws {
        guard !holes.isEmpty else { return }
        try await Task.sleep(for: Self.grace)
        var stuck = 0
        for hole in holes {
            guard mends, stuck < Self.stuckTolerated, hole.numbers.count <= Holes.widest else {
                let isTooWide = hole.numbers.count > Holes.widest
                for missing in try await stillMissing(hole) {
                    let note = isTooWide ? ", too many to be made void" : ""
                    for text in hole.sentences(missing, "is missing", "are missing") { report.add(text + note) }
                }
                continue
            }
            var closed: [ClosedRange<Int64>] = []
            do {
                for part in hole.numbers.parts(of: MySQLStore.settledAtOnce) {
                    let numbers = try await store.settle(
                        part, of: hole.owner, in: hole.table, patience: store.messageLog.patience)
                    closed.join(numbers.runs)
                }
            } catch ChatError.unavailable(let reason) {
                stuck += 1
                for missing in try await stillMissing(hole) {
                    for text in hole.sentences(missing, "is missing", "are missing") {
                        report.add("\(text) and could not be closed: \(reason)")
                    }
                }
            }
            for run in closed {
                for text in hole.sentences(run, "was missing and is void now", "were missing and are void now") {
                    report.addMended(text)
                }
            }
        }
        if hasMoreHoles { report.add("There are more missing numbers than one run checks: run it again") }
    }

    /// The numbers of a hole that still have no row; few of them have one.
    private func stillMissing(_ hole: Hole) async throws -> [ClosedRange<Int64>] {
        try await read { connection in
            var (missing, next): ([ClosedRange<Int64>], Int64) = ([], hole.numbers.lowerBound)
            try connection.query(
                """
                SELECT number FROM \(hole.table.byNumber)
                WHERE \(hole.table.owner) = ? AND number >= ? AND number <= ? ORDER BY number LIMIT 100000
                """,
                [.integer(hole.owner), .integer(hole.numbers.lowerBound), .integer(hole.numbers.upperBound)]
            ) { row in
                if row.integer(0) > next { missing.append(next...row.integer(0) - 1) }
                next = row.integer(0) + 1
                return true
            }
            if next <= hole.numbers.upperBound { missing.append(next...hole.numbers.upperBound) }
            return missing
        }
    }
}

/// Numbers without rows below higher numbers with rows.
private struct Hole: Sendable {
    let owner: Int64
    let numbers: ClosedRange<Int64>
    let table: NumberedTable
    /// For example "Application ab12cd…: chat 3: message".
    let name: String

    /// One sentence for each number if they are few, else one for the range.
    func sentences(_ numbers: ClosedRange<Int64>, _ one: String, _ many: String) -> [String] {
        if numbers.count <= 8 { return numbers.map { "\(name) \($0) \(one)" } }
        return ["\(name)s \(numbers.lowerBound) to \(numbers.upperBound) \(many)"]
    }
}

extension [ClosedRange<Int64>] {
    /// Appends ranges that follow, and merges adjacent ones.
    fileprivate mutating func join(_ others: [ClosedRange<Int64>]) {
        for other in others {
            if let last, last.upperBound + 1 == other.lowerBound {
                self[count - 1] = last.lowerBound...other.upperBound
            } else {
                append(other)
            }
        }
    }
}
