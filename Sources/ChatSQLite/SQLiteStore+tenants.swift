package import ChatCore
import GRDB

extension SQLiteStore: TenantStore {
    package func id(of token: Tenant.Token) async throws -> Tenant.ID? {
        try read(.applicationID) { db in
            let query = try Query(db, "SELECT id FROM applications WHERE token = ?", .text(token.text))
            return try query.next() ? Tenant.ID(query.integer(0)) : nil
        }
    }

    package func tenant(_ id: Tenant.ID) async throws -> Tenant? {
        try read(.application) { db in
            let query = try Query(
                db, "SELECT token, name, chats_count, messages_count, created_at FROM applications WHERE id = ?",
                .integer(id.rawValue))
            guard try query.next(), let token = Tenant.Token(query.text(0)) else { return nil }
            return Tenant(
                id: id,
                token: token,
                name: query.text(1),
                chatsCount: query.integer(2),
                messagesCount: query.integer(3),
                createdAt: Timestamp(microseconds: query.integer(4))
            )
        }
    }

    package func messageCount(of id: Tenant.ID) async throws -> Int64? {
        try read(.applicationMessageCount) { db in
            let query = try Query(
                db, "SELECT messages_count FROM applications WHERE id = ?", .integer(id.rawValue))
            return try query.next() ? query.integer(0) : nil
        }
    }
}

extension SQLiteStore: TenantLog {
    package func apply(
        _ batch: [TenantChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<Void, ChatError>] {
        try write { db in
            try batch.map { change in
                switch change {
                case .create(let name, let token):
                    try Query(
                        db, "INSERT INTO applications (name, token, created_at, updated_at) VALUES (?, ?, ?, ?)",
                        .text(name), .text(token.text), .integer(now.microseconds), .integer(now.microseconds)
                    ).run()
                case .rename(let id, _, let name):
                    try Query(
                        db, "UPDATE applications SET name = ?, updated_at = ? WHERE id = ?",
                        .text(name), .integer(now.microseconds), .integer(id.rawValue)
                    ).run()
                    guard db.changesCount == 1 else { return .failure(.notFound) }
                }
                return .success(())
            }
        }
    }
}
