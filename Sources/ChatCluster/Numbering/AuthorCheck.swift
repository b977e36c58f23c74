import ChatCore
import MySQLClient

/// Whether the users of a batch may change something, as of its own transaction.
enum AuthorCheck {
    private static let statementPlaces = 128

    private struct Place: Hashable {
        let tenant: Int64
        let user: User.ID
    }

    /// Locks the rows of the users and of their applications until the transaction ends: a block or a revocation waits for
    /// it, and is not answered before. Nothing is asked if all entries are of keys.
    ///
    /// - Returns: the entries that are not stored, by their place in the batch.
    static func refusals<Entry: NumberedEntry>(
        of rows: [NumberedBatch.Row], in entries: [Entry], _ connection: isolated MySQLConnection
    ) throws -> [Int: ChatError] {
        let authored = rows.compactMap { row in
            entries[row.entry].author.user.map {
                (row.entry, Place(tenant: entries[row.entry].tenant.rawValue, user: $0))
            }
        }
        guard !authored.isEmpty else { return [:] }
        var standings: [Place: UserStanding] = [:]
        // In one order, so that two batches do not wait for each other in a circle.
        let places = Set(authored.map(\.1)).sorted { left, right in
            left.tenant == right.tenant
                ? left.user.text.utf8.lexicographicallyPrecedes(right.user.text.utf8) : left.tenant < right.tenant
        }
        for some in places.chunks(of: statementPlaces).map(\.padded) {
            try connection.query(
                """
                SELECT users.application_id, users.id, users.blocked_at, users.valid_after,
                    applications.tokens_valid_after
                FROM users FORCE INDEX (PRIMARY)
                STRAIGHT_JOIN applications ON applications.id = users.application_id
                WHERE \(some.map { _ in "(users.application_id = ? AND users.id = ?)" }.joined(separator: " OR "))
                LOCK IN SHARE MODE
                """,
                some.flatMap { [.integer($0.tenant), .user($0.user)] }
            ) { row in
                guard let user = User.ID(row.text(1)) else { return true }
                let ends = [3, 4].filter { !row.isNull($0) }.map { Timestamp(microseconds: row.timestamp($0)) }
                standings[Place(tenant: row.integer(0), user: user)] = UserStanding(
                    isBlocked: !row.isNull(2), validAfter: ends.max())
                return true
            }
        }
        var refusals = try SenderCheck.refusals(of: rows, in: entries, connection)
        for (entry, place) in authored {
            if let refusal = entries[entry].author.refusal(standings[place]) { refusals[entry] = refusal }
        }
        return refusals
    }
}

extension NumberedBatch.Plan {
    /// Without some entries, whose numbers become void.
    func leavingOut(_ entries: some Collection<Int>) -> NumberedBatch.Plan {
        guard !entries.isEmpty else { return self }
        let out = Set(entries)
        return NumberedBatch.Plan(
            rows: rows.filter { !out.contains($0.entry) },
            voids: (voids + rows.filter { out.contains($0.entry) }.map(\.place)).sorted())
    }
}
