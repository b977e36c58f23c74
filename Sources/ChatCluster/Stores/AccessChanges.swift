import ChatCore
import Logging
import MySQLClient
import ServiceLifecycle

/// The keys and applications that were changed: the table `access_changes`.
///
/// The bus tells servers of a change at once. But a publisher whose Redis is away publishes nothing, and nobody notices.
/// So the transaction of the change itself writes a row, and each server reads the new rows every few seconds, whatever it
/// hears of the bus: a revocation holds everywhere within 10 seconds.
enum AccessChanges {
    /// How long a transaction may take from its row to its commit. Rows are read again for so long.
    static let overlap: Int64 = 60_000_000
    /// Rows are kept for so many days; a server that could not read for longer looks up everything again.
    private static let keptDays = 1
    static let kept = Int64(keptDays) * 86_400_000_000 - overlap
    /// Rows per read. Past it, everything is looked up again.
    private static let most = 1000

    /// Call it within the transaction of the change.
    ///
    /// - Parameter key: nil, without a user, for the tenant itself.
    static func record(
        _ key: AccessKey.ID?, user: User.ID? = nil, of tenant: Tenant.ID, _ connection: isolated MySQLConnection
    ) throws {
        try connection.execute(
            "DELETE FROM access_changes WHERE changed_at < UTC_TIMESTAMP(6) - INTERVAL \(keptDays) DAY LIMIT 100")
        try connection.execute(
            """
            INSERT INTO access_changes (changed_at, id, application_id, key_id, user_id)
            VALUES (UTC_TIMESTAMP(6), ?, ?, ?, ?)
            """,
            [
                .integer(.random(in: .min ... .max)), .integer(tenant.rawValue), key.map { .text($0.text) } ?? .null,
                user.map { .user($0) } ?? .null,
            ])
    }

    /// What was changed from a time on.
    struct Changed {
        var principals: Set<Principal> = []
        var tenants: Set<Tenant.ID> = []
    }

    /// The changes from a time on.
    ///
    /// - Returns: nil if there are too many.
    static func since(_ time: Int64, _ connection: isolated MySQLConnection) throws -> Changed? {
        var rows = 0
        var changed = Changed()
        try connection.query(
            """
            SELECT key_id, application_id, user_id FROM access_changes
            WHERE changed_at >= ? ORDER BY changed_at LIMIT \(most)
            """,
            [.timestamp(time)]
        ) { row in
            rows += 1
            if let key = AccessKey.ID(row.text(0)) {
                changed.principals.insert(.applicationKey(key))
            } else if let user = User.ID(row.text(2)) {
                changed.principals.insert(.user(Tenant.ID(row.integer(1)), user))
            } else {
                changed.tenants.insert(Tenant.ID(row.integer(1)))
            }
            return true
        }
        return rows < most ? changed : nil
    }
}

/// Reads the changes of access, and tells this server's bus of them.
struct AccessWatch: Service {
    let store: MySQLStore
    let interval: Duration
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            // From when on the changes are known, by the database's clock; nil before the first read.
            var known: Int64?
            var isFailing = false
            while !Task.isCancelled {
                do {
                    known = try await look(since: known)
                    isFailing = false
                } catch {
                    if !isFailing, !Task.isCancelled {
                        logger.warning(
                            "Changes of access not read", metadata: ["error": ChatError.forLog(error)])
                    }
                    isFailing = true
                }
                // A shutdown cuts it short.
                try? await Task.sleep(for: interval)
            }
        }
    }

    private typealias Changes = (access: AccessChanges.Changed, members: Set<MembersChanged>)

    /// - Returns: the database's time before the read.
    private func look(since known: Int64?) async throws -> Int64 {
        let (now, changed) = try await store.read { connection in
            let now = try LogChanges.now(connection)
            let since = (known ?? now) - AccessChanges.overlap
            if let known, now - known > AccessChanges.kept { return (now, nil as Changes?) }
            guard let access = try AccessChanges.since(since, connection),
                let members = try MemberChanges.changes(since: since, connection)
            else { return (now, nil) }
            return (now, (access, members))
        }
        if let changed {
            for principal in changed.access.principals { store.bus.tell(.changed(principal)) }
            for tenant in changed.access.tenants { store.bus.tell(.tenantChanged(tenant)) }
            for change in changed.members { store.bus.tell(.members(change)) }
        } else {
            store.bus.tell(.changed(nil))
        }
        return now
    }
}
