import Logging
import MySQLClient

/// Corrects the stripes of an application's counts by its rows: rows stored by other programs are in no stripe.
struct StripeRecount: Sendable {
    /// The stripe of corrections; appends add to lower ones.
    private static let stripe: Int64 = 64
    /// Chats per statement.
    private static let page = 1000

    private struct Counts: Sendable, Equatable {
        var chats: Int64 = 0
        var messages: Int64 = 0
    }

    private struct Findings: Sendable {
        var stored = Counts()
        var correction: Counts?
        var rows = Counts()
    }

    let context: JobContext

    /// - Parameter limit: an application with more chats is not changed.
    /// - Returns: whether the stripes are correct now.
    func run(_ application: Int64, chatsAtMost limit: Int = .max) async throws -> Bool {
        for _ in 0..<3 {
            guard let found = try await context.snapshot({ try Self.look(application, limit, $0) }) else {
                return false
            }
            if found.stored == found.rows { return true }
            context.logger.notice("Application counts differ from rows", metadata: ["application": "\(application)"])
            if try await correct(application, found) { return true }
        }
        return false
    }

    /// Call it within a snapshot.
    private static func look(
        _ application: Int64, _ limit: Int, _ connection: isolated MySQLConnection
    ) throws -> Findings? {
        var found = Findings()
        try connection.query(
            "SELECT stripe, chats, messages FROM application_counts WHERE application_id = ?", [.integer(application)]
        ) { row in
            found.stored.chats += row.integer(1)
            found.stored.messages += row.integer(2)
            if row.integer(0) == stripe { found.correction = Counts(chats: row.integer(1), messages: row.integer(2)) }
            return true
        }
        var last: Int64 = 0
        var seen = 0
        while true {
            let page = try connection.rows(
                """
                SELECT id, number, counted_number, void_count, batch_id FROM \(NumberedTable.chats.byNumber)
                WHERE application_id = ? AND number > ? ORDER BY number LIMIT \(Self.page)
                """, [.integer(application), .integer(last)]
            ) { row in
                (
                    place: OwnedNumber(owner: row.integer(0), number: row.integer(2)), number: row.integer(1),
                    voids: row.integer(3), isVoid: row.integer(4) == BatchID.void
                )
            }
            guard let end = page.last else { return found }
            seen += page.count
            guard seen <= limit else { return nil }
            last = end.number
            let uncounted = try ChatCount.messages(after: page.map(\.place), connection)
            for chat in page {
                if !chat.isVoid { found.rows.chats += 1 }
                found.rows.messages += chat.place.number - chat.voids + uncounted[chat.place.owner, default: 0]
            }
        }
    }

    /// Adds the difference, which is correct despite concurrent appends, unless another process has corrected
    /// meanwhile.
    private func correct(_ application: Int64, _ found: Findings) async throws -> Bool {
        let chats = found.rows.chats - found.stored.chats
        let messages = found.rows.messages - found.stored.messages
        return try await context.write { connection in
            guard let old = found.correction else {
                do throws(MySQLError) {
                    try connection.execute(
                        "INSERT INTO application_counts (application_id, stripe, chats, messages) VALUES (?, ?, ?, ?)",
                        [.integer(application), .integer(Self.stripe), .integer(chats), .integer(messages)])
                    return true
                } catch {
                    guard error.isDuplicate else { throw error }
                    return false
                }
            }
            return try connection.execute(
                """
                UPDATE application_counts SET chats = chats + ?, messages = messages + ?
                WHERE application_id = ? AND stripe = ? AND chats = ? AND messages = ?
                """,
                [
                    .integer(chats), .integer(messages), .integer(application), .integer(Self.stripe),
                    .integer(old.chats), .integer(old.messages),
                ]
            ).affectedRows == 1
        }
    }
}
