import ChatCore
import MySQLClient
import Synchronization

/// The chats with new messages and the applications with new chats: the table `log_changes`.
///
/// The transaction that stores the rows writes the change, so both exist or neither. A change also covers the rows that
/// the same process stores for that owner within the next `ChangeRecords.lifetime`: a busy chat costs one row each half
/// minute. So a reader starts `overlap` before its last read: all rows of older changes are committed by then.
///
/// Times are the database's; neither a process' clock nor a row's id counts.
struct LogChanges: Sendable {
    /// How long a transaction may take to commit what it has inserted.
    private static let longestTransaction = Duration.seconds(120)
    /// In microseconds.
    static let overlap = (longestTransaction + ChangeRecords.lifetime).components.seconds * 1_000_000
    /// How long changes are kept, in microseconds. A reader that has been away for longer reads all chats.
    static let kept: Int64 = 3_600_000_000
    /// Rows per page: more than can have the same time.
    private static let page = 10_000

    /// The chats with new messages.
    private(set) var chats: Set<Int64> = []
    /// The applications, with the lowest number of a new chat; 0 if there is another reason to reconcile it.
    private(set) var applications: [Int64: Int64] = [:]
    /// The time of the last change, in microseconds.
    private(set) var last: Int64
    private(set) var isAtEnd = true

    /// The next changes.
    ///
    /// - Parameter start: in microseconds, inclusive.
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

    /// Call it within the transaction that stores the rows.
    ///
    /// - Parameter places: each owner with the lowest of its new numbers; 0 for none.
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

/// The owners whose change this process has recorded recently: new rows of these need no other record.
///
/// Two generations stand in for a time per owner: records of the last `lifetime` are in the young or the old one.
final class ChangeRecords: Sendable {
    static let lifetime = Duration.seconds(30)
    /// Owners per generation; others are recorded each time.
    private static let capacity = 32_768

    /// Owners that need a record now.
    struct Missing: Sendable {
        let owners: [Int64]
        /// The generation at the time of the request.
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

    /// Notes that the changes are committed. They count from the time of the request: the commit may have taken long.
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

    /// Forgets everything: the new server has other rows.
    func forget() {
        generations.withLock { $0 = Generations(current: $0.current + 2) }
    }
}
