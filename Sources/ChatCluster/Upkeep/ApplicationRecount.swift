import MySQLClient

/// Sets `applications.chats_count` and `messages_count` to the sums of the stripes, for up to 256 applications at a
/// time.
struct ApplicationRecount: Sendable {
    private struct Application: Identifiable, Sendable {
        let id: Int64
        let storedChats: MySQLValue
        let storedMessages: MySQLValue
        /// The sums of its stripes; nil if it has none.
        var counts: (chats: Int64, messages: Int64)?

        var isRight: Bool {
            counts.map { storedChats == .integer($0.chats) && storedMessages == .integer($0.messages) } ?? false
        }
    }

    let context: JobContext

    /// - Parameter ids: at most 256.
    /// - Returns: those that could not be written.
    func run(_ ids: [Int64]) async throws -> Unwritten {
        guard !ids.isEmpty else { return Unwritten() }
        var applications = try await context.read { try Self.look(ids, $0) }
        let bare = applications.filter { $0.counts == nil }.map(\.id)
        if !bare.isEmpty {
            // An application without stripes may still have chats.
            for id in bare { _ = try await StripeRecount(context: context).run(id) }
            applications = try await context.read { try Self.look(ids, $0) }
            for index in applications.indices where applications[index].counts == nil {
                applications[index].counts = (0, 0)
            }
        }
        return try await write(applications.filter { !$0.isRight })
    }

    /// Reads the stored counts first, then the stripes: so a stored count from a newer run is not overwritten by older
    /// sums.
    private static func look(_ ids: [Int64], _ connection: isolated MySQLConnection) throws -> [Application] {
        let ids = ids.padded
        let marks = ids.map { _ in "?" }.joined(separator: ", ")
        var applications = try connection.rows(
            "SELECT id, chats_count, messages_count FROM applications WHERE id IN (\(marks))", ids.map { .integer($0) }
        ) { row in
            Application(
                id: row.integer(0), storedChats: row.isNull(1) ? .null : .integer(row.integer(1)),
                storedMessages: .integer(row.integer(2)))
        }
        let indexes = Dictionary(uniqueKeysWithValues: applications.enumerated().map { ($1.id, $0) })
        try connection.query(
            """
            SELECT application_id, CAST(SUM(chats) AS SIGNED), CAST(SUM(messages) AS SIGNED) FROM application_counts
            WHERE application_id IN (\(marks)) GROUP BY application_id
            """, ids.map { .integer($0) }
        ) { row in
            if let index = indexes[row.integer(0)] { applications[index].counts = (row.integer(1), row.integer(2)) }
            return true
        }
        return applications
    }

    /// Writes counts if the stored ones are still those that were read before the stripes.
    private func write(_ applications: [Application]) async throws -> Unwritten {
        try await context.update(applications) { applications, connection in
            let rows = applications.padded
            let chats = CaseByID(rows.map { ($0.id, $0.counts?.chats ?? 0) })
            let messages = CaseByID(rows.map { ($0.id, $0.counts?.messages ?? 0) })
            let condition = rows.map { _ in "(id = ? AND chats_count <=> ? AND messages_count = ?)" }
            let known = rows.flatMap { [MySQLValue.integer($0.id), $0.storedChats, $0.storedMessages] }
            return try connection.execute(
                """
                UPDATE applications SET
                    chats_count = \(chats.sql) ELSE chats_count END,
                    messages_count = \(messages.sql) ELSE messages_count END
                WHERE \(condition.joined(separator: " OR "))
                """, chats.parameters + messages.parameters + known
            ).affectedRows
        }
    }
}
