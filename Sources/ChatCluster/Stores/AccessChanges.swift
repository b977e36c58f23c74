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

    /// What was changed.
    enum Change: Hashable, Sendable {
        case principal(Principal)
        case tenant(Tenant.ID)
    }

    static let reader = ChangeReader<Change>(
        table: "access_changes", columns: "key_id, application_id, user_id"
    ) { row in
        if let key = AccessKey.ID(row.text(2)) { return .principal(.applicationKey(key)) }
        let tenant = Tenant.ID(row.integer(3))
        return User.ID(row.text(4)).map { .principal(.user(tenant, $0)) } ?? .tenant(tenant)
    }
}

/// Reads the changes of access, and tells this server's bus of them.
struct AccessWatch: Service {
    let store: MySQLStore
    let interval: Duration
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var known = Known()
            var isFailing = false
            while !Task.isCancelled {
                do {
                    try await look(&known)
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

    /// What has been read.
    private struct Known {
        /// The database's time before the last read; nil before the first.
        var time: Int64?
        var access = AccessChanges.reader
        var members = MemberChanges.reader
    }

    private func look(_ known: inout Known) async throws {
        let now = try await store.read { try LogChanges.now($0) }
        if let time = known.time, now - time > AccessChanges.kept {
            // Rows are gone that nobody has read.
            store.bus.tell(.changed(nil))
            known = Known()
        } else {
            // The clock may have been set back.
            let since = min(known.time ?? now, now) - AccessChanges.overlap
            try await known.access.read(since: since, upTo: now, from: store) { change in
                switch change {
                case .principal(let principal): store.bus.tell(.changed(principal))
                case .tenant(let tenant): store.bus.tell(.tenantChanged(tenant))
                }
            }
            try await known.members.read(since: since, upTo: now, from: store) { store.bus.tell(.members($0)) }
        }
        known.time = now
    }
}
