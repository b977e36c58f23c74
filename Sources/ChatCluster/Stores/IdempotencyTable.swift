import ChatCore
import MySQLClient

/// The table of idempotency keys, on one connection.
///
/// A clock may be wrong, this process' or the database's. So a key's time is the later of the two, and its age is told by
/// the earlier: it may live longer than its lifetime, and never shorter.
struct IdempotencyTable: Sendable {
    /// What a key belongs to: its `scope_id` is a chat's or an application's id.
    enum Scope: Int64, Sendable { case chat = 1, application = 2 }

    struct Place: Hashable {
        let owner: Int64
        let key: String
    }

    /// What an earlier request left.
    struct Trace {
        let number: Int64
        let fingerprint: [UInt8]
        /// Of what it made.
        let createdAt: Timestamp
        let isExpired: Bool
    }

    /// Keys a statement that reads.
    private static let statementKeys = 256

    let scope: Scope
    let now: Timestamp

    /// The time before which a key has had its lifetime; `?` is this process' clock.
    private static let oldest =
        "LEAST(UTC_TIMESTAMP(6), CAST(? AS DATETIME(6))) - INTERVAL \(IdempotencyKey.lifetime.components.seconds) SECOND"

    /// When what a key made was stored. Chats are not asked for theirs.
    private var created: (column: String, join: String) {
        switch scope {
        case .chat:
            (
                "COALESCE(made.created_at, seen.created_at)",
                "LEFT JOIN messages AS made ON made.chat_id = seen.scope_id AND made.number = seen.number"
            )
        case .application: ("seen.created_at", "")
        }
    }

    /// What is known of these keys.
    func traces(of places: [Place], _ connection: isolated MySQLConnection) throws -> [Place: Trace] {
        var traces: [Place: Trace] = [:]
        // As much as keys may have, and the text of it; a server that takes less gets many small statements.
        let size = connection.facts.maxPacket < Self.statementKeys * 512 ? 1 : Self.statementKeys
        for some in places.chunks(of: size).map(\.padded) {
            // ORs of equalities: every engine takes them for look-ups in the primary key.
            let condition = some.map { _ in "(seen.scope = ? AND seen.scope_id = ? AND seen.idempotency_key = ?)" }
            try connection.query(
                """
                SELECT seen.scope_id, seen.idempotency_key, seen.number, seen.fingerprint, \(created.column),
                    seen.created_at <= \(Self.oldest)
                FROM idempotency_keys AS seen \(created.join)
                WHERE \(condition.joined(separator: " OR "))
                """,
                [.timestamp(now.microseconds)]
                    + some.flatMap { [.integer(scope.rawValue), .integer($0.owner), .bytes(Array($0.key.utf8))] }
            ) { row in
                traces[Place(owner: row.integer(0), key: row.text(1))] = Trace(
                    number: row.integer(2),
                    fingerprint: Array(row.bytes(3)),
                    createdAt: Timestamp(microseconds: row.timestamp(4)),
                    isExpired: row.integer(5) == 1
                )
                return true
            }
        }
        return traces
    }

    /// Remembers keys that no live trace holds; an expired one makes room.
    ///
    /// - Throws: `MySQLError` of a duplicate when another request has stored one of them meanwhile.
    func remember(_ new: [NewTrace], _ connection: isolated MySQLConnection) throws {
        let packet = connection.facts.maxPacket
        for some in new.statements(within: packet, values: { $0.key.text.utf8.count + $0.key.fingerprint.count }) {
            do {
                try insert(some, connection)
            } catch let error as MySQLError where error.isDuplicate {
                // A failed statement changed nothing.
                guard try deleteExpired(some, connection) > 0 else { throw error }
                try insert(some, connection)
            }
        }
    }

    private static let row = "(?, ?, ?, ?, ?, GREATEST(UTC_TIMESTAMP(6), CAST(? AS DATETIME(6))))"

    private func insert(_ new: ArraySlice<NewTrace>, _ connection: isolated MySQLConnection) throws {
        try connection.execute(
            """
            INSERT INTO idempotency_keys (scope, scope_id, idempotency_key, fingerprint, number, created_at)
            VALUES \(new.map { _ in Self.row }.joined(separator: ", "))
            """,
            new.flatMap { trace -> [MySQLValue] in
                [
                    .integer(scope.rawValue), .integer(trace.owner), .bytes(Array(trace.key.text.utf8)),
                    .bytes(trace.key.fingerprint), .integer(trace.number), .timestamp(now.microseconds),
                ]
            })
    }

    private func deleteExpired(_ new: ArraySlice<NewTrace>, _ connection: isolated MySQLConnection) throws -> Int64 {
        try new.reduce(0) { count, trace in
            let deleted = try connection.execute(
                """
                DELETE FROM idempotency_keys
                WHERE scope = ? AND scope_id = ? AND idempotency_key = ? AND created_at <= \(Self.oldest)
                """,
                [
                    .integer(scope.rawValue), .integer(trace.owner), .bytes(Array(trace.key.text.utf8)),
                    .timestamp(now.microseconds),
                ])
            return count + deleted.affectedRows
        }
    }
}

/// A key and the number of what it made.
struct NewTrace: Sendable {
    let owner: Int64
    let key: IdempotencyKey
    let number: Int64
}
