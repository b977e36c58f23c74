import ChatCore
import MySQLClient
import Synchronization

/// Which chats have new messages and which applications new chats: the table `log_changes`.
///
/// The transaction that stores the rows writes the change, so it is there exactly when they are. A change covers what the
/// same process stores for that owner within the next `ChangeRecords.lifetime`: a busy chat costs a row each half minute.
/// So a reader goes back by `overlap` behind its last look: by then all that an older change covers is committed.
///
/// Times are the database's: no process' clock counts, and no row's id.
struct LogChanges: Sendable {
    /// How long a transaction may take to commit what it has inserted.
    private static let longestTransaction = Duration.seconds(120)
    static let overlap = longestTransaction + ChangeRecords.lifetime
    /// How long changes are kept, in microseconds. A reader that has been away for longer looks at everything.
    static let kept: Int64 = 3_600_000_000
    /// Rows a page. More than have one time.
    private static let page = 10_000

    /// With new messages.
    private(set) var chats: Set<Int64> = []
    /// With the lowest number of a new chat; 0 for an application that is to be looked at for something else.
    private(set) var applications: [Int64: Int64] = [:]
    /// When the last of them came, in microseconds.
    private(set) var last: Int64
    private(set) var isAtEnd = true

    /// The next changes.
    ///
    /// - Parameter start: in microseconds; those of that very moment are among them.
    init(from start: Int64, _ connection: isolated MySQLConnection) throws {
        var (last, rows, chats, applications) = (start, 0, Set<Int64>(), [Int64: Int64]())
        try connection.query(
            """
            SELECT changed_at, scope, scope_id, number FROM log_changes WHERE changed_at >= ?
            ORDER BY changed_at LIMIT \(Self.page)
            """, [.timestamp(start)]
        ) { row in
            last = row.timestamp(0)
            rows += 1
            let (owner, number) = (row.integer(2), row.integer(3))
            if row.integer(1) == IdempotencyTable.Scope.chat.rawValue {
                chats.insert(owner)
            } else if let known = applications[owner], known > 0 {
                if number > 0 { applications[owner] = min(known, number) }
            } else {
                applications[owner] = number
            }
            return true
        }
        self.chats = chats
        self.applications = applications
        self.isAtEnd = rows < Self.page
        self.last = isAtEnd ? last : max(last, start + 1)
    }

    /// The database's time, in microseconds.
    static func now(_ connection: isolated MySQLConnection) throws -> Int64 {
        try connection.first("SELECT UTC_TIMESTAMP(6)") { $0.timestamp(0) } ?? 0
    }

    /// Within the transaction that stores the rows.
    ///
    /// - Parameter places: an owner each, and the lowest of its new numbers; 0 for none.
    static func record(
        _ places: [OwnedNumber], of scope: IdempotencyTable.Scope, batch: Int64, _ connection: isolated MySQLConnection
    ) throws {
        for some in places.sorted().statements(within: connection.facts.maxPacket) {
            try connection.execute(
                """
                INSERT INTO log_changes (changed_at, scope, scope_id, batch_id, number)
                VALUES \(some.map { _ in "(UTC_TIMESTAMP(6), ?, ?, ?, ?)" }.joined(separator: ", "))
                """,
                some.flatMap {
                    [.integer(scope.rawValue), .integer($0.owner), .integer(batch), .integer($0.number)]
                })
        }
    }

    /// Deletes some of the changes before a time.
    ///
    /// - Returns: whether there may be more.
    static func trim(before time: Int64, _ connection: isolated MySQLConnection) throws -> Bool {
        let old = try connection.rows(
            "SELECT changed_at FROM log_changes WHERE changed_at < ? ORDER BY changed_at LIMIT \(page)",
            [.timestamp(time)]
        ) { $0.timestamp(0) }
        guard let last = old.last else { return false }
        try connection.execute("DELETE FROM log_changes WHERE changed_at <= ?", [.timestamp(last)])
        return old.count == page
    }
}

/// The owners whose change this process has recorded a short while ago: what it stores now needs no other record.
///
/// Two generations stand in for a time of each: what was recorded in the last `lifetime` is in the young one or the old.
final class ChangeRecords: Sendable {
    static let lifetime = Duration.seconds(30)
    /// Owners a generation; those beyond are recorded each time.
    private static let capacity = 32_768

    /// Owners that need a record now.
    struct Missing: Sendable {
        let owners: [Int64]
        /// When they were asked for.
        fileprivate let generation: Int
    }

    private struct Generations {
        var current = 0
        var start = ContinuousClock.now
        var young: Set<Int64> = []
        var old: Set<Int64> = []

        mutating func turn() {
            let (age, half) = (ContinuousClock.now - start, ChangeRecords.lifetime / 2)
            guard age >= half else { return }
            if age < ChangeRecords.lifetime {
                (old, start, current) = (young, start + half, current + 1)
            } else {
                (old, start, current) = ([], .now, current + 2)
            }
            young = []
        }
    }

    private let generations = Mutex(Generations())

    func missing(_ owners: some Sequence<Int64>) -> Missing {
        generations.withLock { generations in
            generations.turn()
            let missing = owners.filter { !generations.young.contains($0) && !generations.old.contains($0) }
            return Missing(owners: missing, generation: generations.current)
        }
    }

    /// They are recorded and committed. They count from when they were asked for: the commit may have taken long.
    func see(_ recorded: Missing) {
        guard !recorded.owners.isEmpty else { return }
        generations.withLock { generations in
            generations.turn()
            switch generations.current - recorded.generation {
            case 0 where generations.young.count < Self.capacity: generations.young.formUnion(recorded.owners)
            case 1 where generations.old.count < Self.capacity: generations.old.formUnion(recorded.owners)
            default: break
            }
        }
    }

    /// The server has other rows than before.
    func forget() {
        generations.withLock { $0 = Generations(current: $0.current + 2) }
    }
}
