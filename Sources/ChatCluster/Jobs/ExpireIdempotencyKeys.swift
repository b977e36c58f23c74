import ChatCore
import ChatJobs
import Logging
import MySQLClient

/// Deletes idempotency keys that no retry is recognised by any more.
struct ExpireIdempotencyKeys: Job {
    static let name = "ExpireIdempotencyKeys"
    static var options: JobOptions { .recurring }

    /// For servers whose clocks differ.
    private static let margin = Duration.seconds(24 * 3600)
    /// Keys a chunk.
    private static let chunk = 1000

    let context: JobContext
    var time = Duration.seconds(600)
    var clock = WallClock.system

    func perform(_ arguments: NoArguments) async throws {
        let stint = Stint(time, in: context)
        let oldest = clock.now().adding(.zero - IdempotencyKey.lifetime - Self.margin)
        while try await stint.goesOn() {
            guard try await deleteSome(before: oldest) else { return }
        }
        context.logger.notice("Expired idempotency keys are left to the next run")
    }

    /// Two steps, because not every engine limits a DELETE.
    ///
    /// - Returns: whether there may be more.
    private func deleteSome(before oldest: Timestamp) async throws -> Bool {
        try await context.write { connection in
            let keys = try connection.rows(
                """
                SELECT scope, scope_id, idempotency_key FROM idempotency_keys WHERE created_at < ?
                ORDER BY created_at LIMIT \(Self.chunk)
                """, [.timestamp(oldest.microseconds)]
            ) { row -> [MySQLValue] in
                [.integer(row.integer(0)), .integer(row.integer(1)), .bytes(Array(row.bytes(2)))]
            }
            for some in keys.chunks(of: 256) {
                let some = some.padded
                let condition = some.map { _ in "(scope = ? AND scope_id = ? AND idempotency_key = ?)" }
                // A key may have been used anew meanwhile.
                try connection.execute(
                    """
                    DELETE FROM idempotency_keys WHERE (\(condition.joined(separator: " OR "))) AND created_at < ?
                    """, some.flatMap { $0 } + [.timestamp(oldest.microseconds)])
            }
            return keys.count == Self.chunk
        }
    }
}
