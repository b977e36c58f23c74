import ChatCore
import ChatJobs
import Logging
import MySQLClient

/// Deletes idempotency keys past their lifetime.
struct ExpireIdempotencyKeys: Job {
    static let name = "ExpireIdempotencyKeys"
    static var options: JobOptions { .recurring }

    /// A day more than a key's lifetime, by the earlier of the database's and this process' clocks (`?`), so that one
    /// wrong clock deletes nothing early.
    private static let oldest =
        "LEAST(UTC_TIMESTAMP(6), CAST(? AS DATETIME(6))) - INTERVAL \(IdempotencyKey.lifetime.components.seconds + 86_400) SECOND"
    /// Keys per chunk.
    private static let chunk = 1000

    let context: JobContext
    var time = Duration.seconds(600)
    var clock = WallClock.system

    func perform(_ arguments: NoArguments) async throws {
        let stint = Stint(time, in: context)
        let now = clock.now()
        while try await stint.goesOn() {
            guard try await deleteSome(at: now) else { return }
        }
        context.logger.notice("Expired idempotency keys left for the next run")
    }

    /// Selects, then deletes, because not every engine supports DELETE with LIMIT.
    ///
    /// - Returns: whether there may be more.
    private func deleteSome(at now: Timestamp) async throws -> Bool {
        try await context.write { connection in
            let keys = try connection.rows(
                """
                SELECT scope, scope_id, idempotency_key FROM idempotency_keys WHERE created_at < \(Self.oldest)
                ORDER BY created_at LIMIT \(Self.chunk)
                """, [.timestamp(now.microseconds)]
            ) { row -> [MySQLValue] in
                [.integer(row.integer(0)), .integer(row.integer(1)), .bytes(Array(row.bytes(2)))]
            }
            for some in keys.chunks(of: 256) {
                let some = some.padded
                let condition = some.map { _ in "(scope = ? AND scope_id = ? AND idempotency_key = ?)" }
                // A key may have been used again meanwhile.
                try connection.execute(
                    """
                    DELETE FROM idempotency_keys
                    WHERE (\(condition.joined(separator: " OR "))) AND created_at < \(Self.oldest)
                    """, some.flatMap { $0 } + [.timestamp(now.microseconds)])
            }
            return keys.count == Self.chunk
        }
    }
}
