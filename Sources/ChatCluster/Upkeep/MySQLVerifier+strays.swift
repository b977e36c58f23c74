import ChatCore
import MySQLClient
import RedisClient

/// Verifies orphans, idempotency keys, records of void runs, and Redis' counters.
extension MySQLVerifier {
    /// Rows per statement.
    private static let part = 5000
    /// The most orphans of each kind that are reported.
    private static let told = 1000

    mutating func verifyOrphans() async throws {
        var (last, found): (Int64, Int) = (0, 0)
        while true {
            let chats = try await read { [last] connection in
                try connection.rows(
                    """
                    SELECT chats.id, chats.number, applications.id FROM chats
                    LEFT JOIN applications ON applications.id = application_id
                    WHERE chats.id > ? ORDER BY chats.id LIMIT \(Self.part)
                    """, [.integer(last)]
                ) { (id: $0.integer(0), number: $0.integer(1), isOrphan: $0.isNull(2)) }
            }
            for chat in chats where chat.isOrphan && found < Self.told {
                report.add("Chat \(chat.number), id \(chat.id), belongs to no application")
                found += 1
            }
            try await verifyMessages(between: [last] + chats.map(\.id))
            guard let end = chats.last else { return }
            last = end.id
        }
    }

    /// Looks for messages with chat ids between the existing ones, or after the only one.
    private mutating func verifyMessages(between ids: [Int64]) async throws {
        var ranges = zip(ids, ids.dropFirst()).filter { $1 > $0 + 1 }.map { ($0, $1) }
        if ids.count == 1 { ranges.append((ids[0], .max)) }
        for some in ranges.chunks(of: 64) {
            var open = Array(some)
            var left = Self.told
            while !open.isEmpty, left > 0 {
                let places = open
                let found = try await read { connection in
                    let look = """
                        (SELECT chat_id FROM \(NumberedTable.messages.byNumber) WHERE chat_id > ? AND chat_id < ?
                        ORDER BY chat_id, number LIMIT 1)
                        """
                    let padded = places.padded
                    let owners = try connection.rows(
                        padded.map { _ in look }.joined(separator: " UNION ALL "),
                        padded.flatMap { [.integer($0.0), .integer($0.1)] }
                    ) { $0.integer(0) }
                    return Set(owners)
                }
                // Ignore chats created meanwhile.
                let existing = try await read { [log = store.messageLog] in try log.existing(Array(found), $0) }
                for owner in found.subtracting(existing).sorted() {
                    report.add("The messages of chat id \(owner) belong to no chat")
                }
                left -= found.count
                open = open.compactMap { range in
                    guard let owner = found.first(where: { $0 > range.0 && $0 < range.1 }) else { return nil }
                    return (owner, range.1)
                }
            }
        }
    }

    /// Checks that each idempotency key's row exists.
    mutating func verifyKeys() async throws {
        for log in [store.messageLog, store.chatLog] {
            let scope = MySQLValue.integer(log.table.scope.rawValue)
            var (place, key, found): (Int64, [UInt8]?, Int) = (.min, nil, 0)
            while true {
                // First the remaining keys of one owner, then the next owners.
                let (condition, parameters): (String, [MySQLValue]) =
                    if let key {
                        ("scope_id = ? AND idempotency_key > ?", [.integer(place), .bytes(key)])
                    } else {
                        ("scope_id > ?", [.integer(place)])
                    }
                let page = try await read { connection in
                    let page = try connection.rows(
                        """
                        SELECT scope_id, number, idempotency_key FROM idempotency_keys
                        WHERE scope = ? AND \(condition) ORDER BY scope_id, idempotency_key LIMIT \(Self.part)
                        """, [scope] + parameters
                    ) { (place: OwnedNumber(owner: $0.integer(0), number: $0.integer(1)), key: Array($0.bytes(2))) }
                    let rows = try log.batches(at: page.map(\.place), connection)
                    return page.map { (place: $0.place, key: $0.key, leads: (rows[$0.place] ?? BatchID.void) >= 0) }
                }
                for lost in page where !lost.leads && found < Self.told {
                    let (owner, place) = (log.table.scope == .chat ? "chat" : "application", lost.place)
                    report.add("Idempotency key of \(owner) id \(place.owner): number \(place.number) is missing")
                    found += 1
                }
                if let last = page.last, page.count == Self.part {
                    (place, key) = (last.place.owner, last.key)
                } else if key != nil {
                    key = nil
                } else {
                    break
                }
            }
        }
    }

    /// Checks that the recorded runs are void.
    mutating func verifyVoidRuns() async throws {
        for table in [NumberedTable.messages, .chats] {
            var (owner, number): (Int64, Int64) = (.min, .min)
            while true {
                let start = OwnedNumber(owner: owner, number: number)
                let page = try await read { connection in
                    try connection.rows(
                        """
                        SELECT scope_id, first_number, last_number FROM void_runs
                        WHERE scope = ? AND scope_id >= ? AND (scope_id > ? OR first_number > ?)
                        ORDER BY scope_id, first_number LIMIT \(Self.part)
                        """,
                        [
                            .integer(table.scope.rawValue), .integer(start.owner), .integer(start.owner),
                            .integer(start.number),
                        ]
                    ) { (owner: $0.integer(0), first: $0.integer(1), last: $0.integer(2)) }
                }
                for run in page where try await !isVoid(run.first, run.last, of: run.owner, in: table) {
                    let what =
                        table.scope == .chat ? "chat id \(run.owner): messages" : "application id \(run.owner): chats"
                    let problem = "A record of void numbers is wrong, \(what) \(run.first) to \(run.last)"
                    guard mends else {
                        report.add(problem)
                        continue
                    }
                    try await read { connection in
                        _ = try connection.execute(
                            "DELETE FROM void_runs WHERE scope = ? AND scope_id = ? AND first_number = ?",
                            [.integer(table.scope.rawValue), .integer(run.owner), .integer(run.first)])
                    }
                    report.addMended(problem)
                }
                guard let last = page.last else { break }
                (owner, number) = (last.owner, last.first)
            }
        }
    }

    private func isVoid(
        _ first: Int64, _ last: Int64, of owner: Int64, in table: NumberedTable
    ) async throws -> Bool {
        guard first > 0, first <= last else { return false }
        for part in (first...last).parts(of: 50_000) {
            let voids = try await read { connection in
                try connection.first(
                    """
                    SELECT COUNT(*) FROM \(table.byNumber)
                    WHERE \(table.owner) = ? AND number >= ? AND number <= ? AND batch_id = \(BatchID.void)
                    """, [.integer(owner), .integer(part.lowerBound), .integer(part.upperBound)]
                ) { $0.integer(0) }
            }
            if voids != Int64(part.count) { return false }
        }
        return true
    }

    // MARK: Redis

    /// Redis' counters are proposals, so a wrong one does no harm. One out of bounds is reported, because something
    /// else writes to it. One that is only behind is raised without a report.
    ///
    /// - Parameter names: the owners' names, by id.
    mutating func verifyCounters(of names: [Int64: String], in table: NumberedTable) async throws {
        let owners = Array(names.keys)
        let log = table.scope == .chat ? store.messageLog : store.chatLog
        guard !owners.isEmpty, store.redis.isConnected else { return }
        // Wrong: behind a number stored before the counter was read, or far ahead of one stored after it.
        let before = try await read { try log.highestNumbers(of: owners, $0) }
        let copies = RedisCopies(redis: store.redis)
        guard let held = try? await copies.values(of: owners.map(table.numberKey)) else { return }
        func isWrong(_ owner: Int64, _ highest: Int64) -> Bool {
            guard let text = held[table.numberKey(owner)] else { return false }
            guard let number = Int64(text), number >= 0 else { return true }
            return number > highest + NumberSource.reach || number < before[owner] ?? 0
        }
        let suspects = owners.filter { isWrong($0, before[$0] ?? 0) }
        guard !suspects.isEmpty else { return }
        let after = try await read { try log.highestNumbers(of: suspects, $0) }
        for owner in suspects.sorted() where isWrong(owner, after[owner] ?? 0) {
            let (key, highest) = (table.numberKey(owner), after[owner] ?? 0)
            let text = held[key] ?? ""
            let isBehind = Int64(text).map { (0..<highest).contains($0) } ?? false
            let problem = "\(names[owner] ?? ""): Redis' counter is \(text), but the highest number is \(highest)"
            if mends {
                guard (try? await copies.replace(key, text, with: String(highest))) != nil, !isBehind else { continue }
                report.addMended(problem)
            } else if !isBehind {
                report.add(problem)
            }
        }
    }
}
