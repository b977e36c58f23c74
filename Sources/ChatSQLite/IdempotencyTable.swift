import ChatCore
import GRDB

/// The table of idempotency keys, within one write transaction.
struct IdempotencyTable {
    /// The owner of a key: its `scope_id` is a chat's or an application's id.
    enum Scope: String { case chat, application }

    enum Sight {
        case unseen
        /// The number that the first request got.
        case seen(number: Int64)
        /// The first request had another content.
        case reused
    }

    let db: Database
    let scope: Scope
    /// The time of `KeyClock`.
    let now: Timestamp

    private var oldest: Timestamp { now.adding(.zero - IdempotencyKey.lifetime) }

    /// No key is unseen.
    func lookUp(_ key: IdempotencyKey?, in scopeID: Int64) throws -> Sight {
        guard let key else { return .unseen }
        let query = try Query(
            db,
            """
            SELECT number, fingerprint FROM idempotency_keys
            WHERE scope = ? AND scope_id = ? AND key = ? AND created_at > ?
            """,
            .text(scope.rawValue), .integer(scopeID), .text(key.text), .integer(oldest.microseconds))
        guard try query.next() else { return .unseen }
        return query.bytes(1).elementsEqual(key.fingerprint) ? .seen(number: query.integer(0)) : .reused
    }

    func remember(_ key: IdempotencyKey?, in scopeID: Int64, number: Int64) throws {
        guard let key else { return }
        // REPLACE: the same key may be there from more than a lifetime ago.
        try Query(
            db,
            """
            REPLACE INTO idempotency_keys (scope, scope_id, key, fingerprint, number, created_at)
            VALUES (?, ?, ?, ?, ?, ?)
            """,
            .text(scope.rawValue), .integer(scopeID), .text(key.text), .blob(key.fingerprint), .integer(number),
            .integer(now.microseconds)
        ).run()
    }

    /// Deletes old keys, a bounded number at a time: twice as many as a batch may add, so that the table cannot grow
    /// beyond a week's keys.
    func expire(atMost count: Int) throws {
        try Query(
            db,
            """
            DELETE FROM idempotency_keys WHERE (scope, scope_id, key) IN (
                SELECT scope, scope_id, key FROM idempotency_keys WHERE created_at <= ? ORDER BY created_at LIMIT ?)
            """,
            .integer(oldest.microseconds), .integer(Int64(count))
        ).run()
    }
}
