import MySQLClient

/// A row of `job_positions`.
struct JobPosition: Sendable {
    enum Name: String {
        /// The ids up to here have been reconciled.
        case messages, chats
        /// The epoch of the marks in Redis.
        case chatMarks = "chat marks"
        case applicationMarks = "application marks"
        /// The walk that a database gets once; done: `end`.
        case firstChats = "first walk, chats"
        case firstApplications = "first walk, applications"
        /// The nightly walk; 0 between two.
        case nightlyChats = "nightly walk, chats"
        case nightlyApplications = "nightly walk, applications"
    }

    struct Row: Sendable {
        let position: Int64
        /// Empty for none.
        let epoch: String
    }

    /// Nothing comes after it.
    static let end = Int64.max

    let name: Name
    let context: JobContext

    init(_ name: Name, _ context: JobContext) {
        self.name = name
        self.context = context
    }

    /// Nil before the first run of all.
    func read() async throws -> Row? {
        try await context.read { [name] connection in
            try connection.first("SELECT position, epoch FROM job_positions WHERE name = ?", [.text(name.rawValue)]) {
                Row(position: $0.integer(0), epoch: $0.text(1))
            }
        }
    }

    /// The row, made if there is none; another that makes it at the same time is as good.
    func read(orStartAt start: @Sendable () async throws -> Int64) async throws -> Row {
        if let row = try await read() { return row }
        let position = try await start()
        try await context.write { [name] connection in
            _ = try connection.execute(
                """
                INSERT INTO job_positions (name, position, updated_at) VALUES (?, ?, UTC_TIMESTAMP(6))
                ON DUPLICATE KEY UPDATE name = VALUES(name)
                """, [.text(name.rawValue), .integer(position)])
        }
        return try await read() ?? Row(position: position, epoch: "")
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

    func set(epoch: String) async throws {
        try await context.write { [name] connection in
            _ = try connection.execute(
                "UPDATE job_positions SET epoch = ?, updated_at = UTC_TIMESTAMP(6) WHERE name = ?",
                [.text(epoch), .text(name.rawValue)])
        }
    }

    func forget() async throws {
        try await context.write { [name] connection in
            _ = try connection.execute("DELETE FROM job_positions WHERE name = ?", [.text(name.rawValue)])
        }
    }
}
