import ChatCore
import MySQLClient

/// The table of idempotency keys, on one connection.
///
/// This process' clock or the database's may be wrong. So a key is stored with the later of both times, and its age
/// counts by the earlier: it may live longer than its lifetime, but never shorter.
struct IdempotencyTable: Sendable {
    /// The owner of a key: its `scope_id` is a chat's or an application's id.
    enum Scope: Int64, Sendable { case chat = 1, application = 2 }

    struct Place: Hashable {
        let owner: Int64
        let key: String
    }

    /// The trace of an earlier request.
    struct Trace {
        let number: Int64
        let fingerprint: [UInt8]
        /// The number of the row that it stored.
        let createdAt: Timestamp
        let isExpired: Bool
    }

    /// Keys per SELECT.
    private static let statementKeys = 256

    let scope: Scope
    let now: Timestamp

    /// Keys from before this time have expired; `?` is this process' clock.
    private static let oldest =
        "LEAST(UTC_TIMESTAMP(6), CAST(? AS DATETIME(6))) - INTERVAL \(IdempotencyKey.lifetime.components.seconds) SECOND"

    /// When the key's row was stored. Not read for chats.
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

    /// The traces of these keys.
    func traces(of places: [Place], _ connection: isolated MySQLConnection) throws -> [Place: Trace] {
        var traces: [Place: Trace] = [:]
        // As long as keys may be, and the statement's text; a server with smaller packets gets many small statements.
        let size = connection.facts.maxPacket < Self.statementKeys * 512 ? 1 : Self.statementKeys
        for some in places.chunks(of: size).map(\.padded) {
            // ORs of equalities: every engine resolves them by look-ups in the primary key.
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

    /// Stores keys without a live trace; replaces expired ones.
    ///
    /// - Throws: a duplicate `MySQLError` if another request has stored one of them meanwhile.
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

/// A key and the number of its row.
struct NewTrace: Sendable {
    let owner: Int64
    let key: IdempotencyKey
    let number: Int64
}
