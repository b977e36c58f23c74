import ChatCore
import MySQLClient
import Synchronization

/// Deletes contents of messages that were replaced long ago: with edits, at most once a minute in each process.
final class VersionExpiry: Sendable {
    private static let pause = Duration.seconds(60)
    /// Versions per statement that looks for them, and per one that deletes.
    private static let (found, deleted) = (1000, 64)

    private let next = Mutex(ContinuousClock.now)

    /// - Returns: whether it is time; then the caller does it.
    private func isDue() -> Bool {
        next.withLock { next in
            guard next <= .now else { return false }
            next = .now + Self.pause
            return true
        }
    }

    /// By the earlier of the database's and this process' clocks, so that one wrong clock deletes nothing early.
    func run(_ rules: EditRules, at now: Timestamp, _ pool: MySQLPool) async {
        guard isDue() else { return }
        // What fails now is tried again in a minute.
        let isMore = try? await pool.run(within: .seconds(1)) { connection in
            let old = try connection.rows(
                """
                SELECT chat_id, number, revision FROM message_versions
                WHERE replaced_at < LEAST(UTC_TIMESTAMP(6), CAST(? AS DATETIME(6))) - INTERVAL ? DAY
                ORDER BY replaced_at LIMIT \(Self.found)
                """, [.timestamp(now.microseconds), .integer(Int64(rules.historyDays))]
            ) { row in (0..<3).map { MySQLValue.integer(row.integer($0)) } }
            for some in old.chunks(of: Self.deleted).map(\.padded) {
                let condition = some.map { _ in "(chat_id = ? AND number = ? AND revision = ?)" }
                try connection.execute(
                    "DELETE FROM message_versions WHERE \(condition.joined(separator: " OR "))", some.flatMap { $0 })
            }
            return old.count == Self.found
        }
        if isMore == true { next.withLock { $0 = .now } }
    }
}
