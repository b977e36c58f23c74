import ChatCore
import MySQLClient

extension MySQLStore: TenantStore {
    func id(of token: Tenant.Token) async throws -> Tenant.ID? {
        try await read(.applicationID) { connection in
            try connection.first("SELECT id FROM applications WHERE token = ?", [.text(token.text)]) {
                Tenant.ID($0.integer(0))
            }
        }
    }

    func tenant(_ id: Tenant.ID) async throws -> Tenant? {
        try await read(.application) { connection in
            try connection.first(
                """
                SELECT token, name, created_at, counts.chats, counts.messages FROM applications
                LEFT JOIN (
                    SELECT application_id, CAST(SUM(chats) AS SIGNED) AS chats, CAST(SUM(messages) AS SIGNED) AS messages
                    FROM application_counts WHERE application_id = ? GROUP BY application_id
                ) AS counts ON counts.application_id = id
                WHERE id = ?
                """,
                [.integer(id.rawValue), .integer(id.rawValue)]
            ) { row in
                Tenant.Token(row.text(0)).map { token in
                    Tenant(
                        id: id,
                        token: token,
                        name: row.text(1),
                        chatsCount: row.integer(3),
                        messagesCount: row.integer(4),
                        createdAt: Timestamp(microseconds: row.timestamp(2))
                    )
                }
            } ?? nil
        }
    }

    /// The sum of the application's stripes: exact, because each append adds to one in its own transaction.
    func messageCount(of id: Tenant.ID) async throws -> Int64? {
        try await read(.applicationMessageCount) { connection in
            try connection.first(
                """
                SELECT (SELECT CAST(SUM(messages) AS SIGNED) FROM application_counts WHERE application_id = applications.id)
                FROM applications WHERE id = ?
                """, [.integer(id.rawValue)]
            ) { $0.integer(0) }
        }
    }
}

extension MySQLStore: TenantLog {
    func apply(
        _ batch: [TenantChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<Void, ChatError>] {
        var retry = Retry(patience: min(messageLog.patience, time))
        var mayBeStored = false
        while true {
            do throws(MySQLError) {
                return try await writes.run(within: retry.remaining) { connection in
                    try connection.transaction { try Self.apply(batch, at: now, $0) }
                }
            } catch {
                // Tokens are random: a duplicate is our own, from an attempt whose connection was lost.
                if error.isDuplicate, mayBeStored { return try await outcomes(of: batch) }
                if error.leavesInDoubt { mayBeStored = true }
                guard !error.isDuplicate, await retry.mayGoOn(after: error) else {
                    throw mayBeStored ? ChatError.outcomeUnknown : ChatError(driver: error)
                }
            }
        }
    }

    private static func apply(
        _ batch: [TenantChange], at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws -> [Result<Void, ChatError>] {
        try batch.map { change in
            switch change {
            case .create(let name, let token):
                try connection.execute(
                    "INSERT INTO applications (name, token, created_at, updated_at) VALUES (?, ?, ?, ?)",
                    [.text(name), .text(token.text), .timestamp(now.microseconds), .timestamp(now.microseconds)])
                return .success(())
            case .rename(let id, let token, let name):
                let stored = try connection.first(
                    "SELECT token FROM applications WHERE id = ? FOR UPDATE", [.integer(id.rawValue)]
                ) { $0.text(0) }
                // On another server, the id may belong to another application.
                guard let stored, token == nil || token?.text == stored else { return .failure(.notFound) }
                try connection.execute(
                    "UPDATE applications SET name = ?, updated_at = ? WHERE id = ?",
                    [.text(name), .timestamp(now.microseconds), .integer(id.rawValue)])
                return .success(())
            }
        }
    }

    /// The outcomes of a batch that was committed without a confirmation.
    private func outcomes(of batch: [TenantChange]) async throws(ChatError) -> [Result<Void, ChatError>] {
        var outcomes: [Result<Void, ChatError>] = []
        for change in batch {
            if case .rename(let id, _, _) = change {
                let isThere = try await read { connection in
                    try connection.first("SELECT 1 FROM applications WHERE id = ?", [.integer(id.rawValue)]) {
                        $0.integer(0)
                    }
                }
                outcomes.append(isThere == nil ? .failure(.notFound) : .success(()))
            } else {
                outcomes.append(.success(()))
            }
        }
        return outcomes
    }
}
