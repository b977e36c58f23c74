import MySQLClient

/// A row of `job_positions`.
struct JobPosition: Sendable {
    enum Name: String {
        /// What changed until then is counted, by the database's clock, in microseconds.
        case changes
        /// The walk that a database gets once; done: `end`.
        case firstChats = "first walk, chats"
        case firstApplications = "first walk, applications"
        /// The walk that begins anew whenever it has come to the end, a little each time.
        case endlessChats = "endless walk, chats"
        case endlessApplications = "endless walk, applications"
        /// The nightly walk; 0 between two.
        case nightlyChats = "nightly walk, chats"
        case nightlyApplications = "nightly walk, applications"
    }

    /// Nothing comes after it.
    static let end = Int64.max

    let name: Name
    let context: JobContext

    init(_ name: Name, _ context: JobContext) {
        self.name = name
        self.context = context
    }

    /// The position; a row is made if there is none, and another that makes it at the same time is as good.
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

    /// Nil before the first run of all.
    private func stored() async throws -> Int64? {
        try await context.read { [name] connection in
            try connection.first("SELECT position FROM job_positions WHERE name = ?", [.text(name.rawValue)]) {
                $0.integer(0)
            }
        }
    }

    /// - Returns: false when another has moved it meanwhile.
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
