import MySQLClient

/// A row of `job_positions`.
struct JobPosition: Sendable {
    enum Name: String {
        /// Changes up to this time are counted; in microseconds, by the database's clock.
        case changes
        /// The walk that each database gets once; `end` when done.
        case firstChats = "first walk, chats"
        case firstApplications = "first walk, applications"
        /// The walk that proceeds in small steps, and starts again at its end.
        case endlessChats = "endless walk, chats"
        case endlessApplications = "endless walk, applications"
        /// The nightly walk; 0 between two walks.
        case nightlyChats = "nightly walk, chats"
        case nightlyApplications = "nightly walk, applications"
    }

    /// The position of a finished walk.
    static let end = Int64.max

    let name: Name
    let context: JobContext

    init(_ name: Name, _ context: JobContext) {
        self.name = name
        self.context = context
    }

    /// The position. Inserts the row if there is none; a concurrent insert of the same row does no harm.
    func read() async throws -> Int64 {
        if let position = try await stored() { return position }
        try await context.write { [name] connection in
            _ = try connection.execute(
                """
                INSERT INTO job_positions (name, position, updated_at) VALUES (?, 0, UTC_TIMESTAMP(6))
                ON DUPLICATE KEY UPDATE name = VALUES(name)
                """, [.text(name.rawValue)])
        }
        return try await stored() ?? 0
    }

    /// Nil before the first run.
    private func stored() async throws -> Int64? {
        try await context.read { [name] connection in
            try connection.first("SELECT position FROM job_positions WHERE name = ?", [.text(name.rawValue)]) {
                $0.integer(0)
            }
        }
    }

    /// - Returns: false if another process has moved it meanwhile.
    @discardableResult
    func move(from old: Int64, to new: Int64) async throws -> Bool {
        guard old != new else { return true }
        return try await context.write { [name] connection in
            try connection.execute(
                "UPDATE job_positions SET position = ?, updated_at = UTC_TIMESTAMP(6) WHERE name = ? AND position = ?",
                [.integer(new), .text(name.rawValue), .integer(old)]
            ).affectedRows == 1
        }
    }
}
