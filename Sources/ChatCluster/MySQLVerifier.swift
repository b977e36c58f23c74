import ChatCore
import Logging
import MySQLClient

/// Walks the whole database, an application at a time, each in a snapshot of its own: servers may go on meanwhile.
///
/// A missing number may be one on its way, so it is looked at again a while later. What is mended loses nothing: a hole
/// becomes a void row (a writer that was merely slow takes another number), a count gets the difference to its rows.
struct MySQLVerifier {
    /// How long a number may be on its way.
    private static let grace = Duration.seconds(2)
    /// Holes that are looked at again; where there are more, a second run finds the rest.
    private static let holesKept = 100_000
    /// Holes that a writer which stands still within its transaction may keep from being closed, at a few seconds each,
    /// before the rest is left to another run.
    private static let stuckTolerated = 3

    private let store: MySQLStore
    private let mends: Bool
    private let progress: (Int64, Int64) -> Void
    private var report = StoreReport()
    private var holes: [Hole] = []

    init(
        configuration: ClusterConfiguration, mends: Bool, logger: Logger, progress: @escaping (Int64, Int64) -> Void
    ) async throws {
        self.store = try await MySQLStore(configuration, logger: logger)
        self.mends = mends
        self.progress = progress
    }

    mutating func run() async throws -> StoreReport {
        let expected = try await scan { connection in
            try connection.first("SELECT CAST(IFNULL(SUM(messages), 0) AS SIGNED) FROM application_counts") {
                $0.integer(0)
            } ?? 0
        }
        var last: Int64 = 0
        while true {
            let page = try await scan { [last] connection in
                try connection.rows(
                    "SELECT id, token FROM applications WHERE id > ? ORDER BY id LIMIT 500", [.integer(last)]
                ) { (id: $0.integer(0), token: $0.text(1)) }
            }
            guard let end = page.last else { break }
            for application in page { try await verify(application.id, application.token, expected) }
            last = end.id
        }
        try await verifyOrphans()
        try await verifyKeys()
        try await verifyHoles()
        await store.scans.close()
        await store.reads.close()
        await store.writes.close()
        progress(report.messages, expected)
        return report
    }

    private func scan<Result: Sendable>(
        _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        try await store.scans.withConnection(timeout: .seconds(10), body)
    }

    private mutating func verify(_ id: Int64, _ token: String, _ expected: Int64) async throws {
        let name = "Application \(Tenant.Token(token).map(\.description) ?? "with a malformed token"), id \(id)"
        let findings = try await scan { connection in
            try connection.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return try connection.transaction { try ApplicationFindings(id, name, $0) }
        }
        report.applications += 1
        report.chats += findings.chats
        report.messages += findings.messages
        if Tenant.Token(token) == nil { report.add(name) }
        for problem in findings.problems { report.add(problem) }
        holes += findings.holes.prefix(max(0, Self.holesKept - holes.count))
        for correction in findings.corrections { try await settle(correction) }
        progress(report.messages, expected)
    }

    /// Reports a count that is off, or puts it right by the difference: that is right whatever was added since.
    private mutating func settle(_ correction: Correction) async throws {
        guard mends else { return report.add(correction.problem) }
        try await scan { connection in
            try connection.transaction { connection in
                for (sql, parameters) in correction.statements { try connection.execute(sql, parameters) }
            }
        }
        report.addMended(correction.problem)
    }

    private mutating func verifyOrphans() async throws {
        let orphans = try await scan { connection in
            try connection.rows(
                """
                SELECT chats.id, chats.number FROM chats LEFT JOIN applications ON applications.id = application_id
                WHERE applications.id IS NULL LIMIT 1000
                """
            ) { "Chat \($0.integer(1)), id \($0.integer(0)), belongs to no application" }
                + connection.rows(
                    """
                    SELECT owners.chat_id FROM (SELECT DISTINCT chat_id FROM messages) AS owners
                    LEFT JOIN chats ON chats.id = owners.chat_id WHERE chats.id IS NULL LIMIT 1000
                    """
                ) { "The messages of chat id \($0.integer(0)) belong to no chat" }
        }
        for orphan in orphans { report.add(orphan) }
    }

    /// Every idempotency key leads to what it made.
    private mutating func verifyKeys() async throws {
        let lost = try await scan { connection in
            try connection.rows(
                """
                SELECT scope, scope_id, number FROM idempotency_keys AS traces
                WHERE CASE scope
                    WHEN 1 THEN NOT EXISTS (
                        SELECT 1 FROM messages
                        WHERE chat_id = traces.scope_id AND number = traces.number AND batch_id >= 0)
                    ELSE NOT EXISTS (
                        SELECT 1 FROM chats
                        WHERE application_id = traces.scope_id AND number = traces.number AND batch_id >= 0)
                    END
                LIMIT 1000
                """
            ) { row in
                let owner = row.integer(0) == IdempotencyTable.Scope.chat.rawValue ? "chat" : "application"
                return "An idempotency key of \(owner) id \(row.integer(1)) leads to no \(row.integer(2))"
            }
        }
        for problem in lost { report.add(problem) }
    }

    private mutating func verifyHoles() async throws {
        guard !holes.isEmpty else { return }
        try await Task.sleep(for: Self.grace)
        var stuck = 0
        for hole in holes {
            let log = hole.isMessage ? store.messageLog : store.chatLog
            let isStored = try await scan { try !log.batches(at: [hole.place], $0).isEmpty }
            if isStored { continue }
            guard mends, stuck < Self.stuckTolerated else {
                report.add("\(hole.name) \(hole.place.number) is missing")
                continue
            }
            do {
                try await close(hole)
            } catch ChatError.unavailable(let reason) {
                stuck += 1
                report.add("\(hole.name) \(hole.place.number) is missing and could not be closed: \(reason)")
                continue
            }
            report.addMended("\(hole.name) \(hole.place.number) was missing and is void now")
        }
    }

    private func close(_ hole: Hole) async throws {
        if hole.isMessage {
            _ = try await store.settle(Message.Number(hole.place.number), in: Chat.ID(hole.place.owner))
        } else {
            let number = hole.place.number
            try await store.settle(
                number...number, of: hole.place.owner, in: .chats, patience: store.chatLog.patience)
        }
    }
}

/// A number that no row holds though higher ones are there.
struct Hole: Sendable {
    let place: OwnedNumber
    let isMessage: Bool
    /// As in "Application ab12cd…: chat 3: message".
    let name: String
}

/// A count that disagrees with its rows, and what puts it right.
struct Correction: Sendable {
    let problem: String
    let statements: [(sql: String, parameters: [MySQLValue])]
}
