import ChatCore
import Logging
import MySQLClient
import RedisClient
import ServiceLifecycle

/// Whether the database has lost rows that its servers had stored: it was restored from an older backup, or a replica that
/// lacked them has taken over. Numbers and revisions may then be given a second time, and a client would skip those that it
/// seems to have, until `luciq db new-epoch`.
///
/// Redis remembers the id of the next row of `messages`, which no deletion lowers. Without it nothing is noticed.
struct RowMemory {
    /// A node that lags behind gets this long.
    static let patience = Duration.seconds(5)

    let store: MySQLStore
    /// What Redis has told of, and more than that there is not: a node may lag behind.
    private(set) var isAhead = false
    private var remembered: Int64 = 0

    init(store: MySQLStore) { self.store = store }

    /// - Returns: the id of the next row.
    private func next() async throws -> Int64 {
        try await store.read { connection in
            // MySQL 8 would answer what it knew a day ago.
            if !connection.isMariaDB { try connection.run("SET SESSION information_schema_stats_expiry = 0") }
            return try connection.first(
                """
                SELECT CAST(auto_increment AS SIGNED) FROM information_schema.tables
                WHERE table_schema = DATABASE() AND table_name = 'messages'
                """
            ) { $0.isNull(0) ? 0 : $0.integer(0) } ?? 0
        }
    }

    /// Compares, and tells Redis of more rows. A first difference may be a node that lags behind: ask again after a while.
    ///
    /// - Returns: whether there were more rows at the time of the call before.
    mutating func look() async throws -> Bool {
        let next = try await next()
        let isLost = next < remembered
        let value = try await store.redis.send(RedisCommand("GET", store.deployment.rowsKey)).string
        // It is gone when a new epoch has begun.
        remembered = value.flatMap { Int64($0) } ?? 0
        isAhead = remembered > next
        if remembered < next {
            _ = try await store.redis.send(RedisCommand("SET", store.deployment.rowsKey, "\(next)"))
            remembered = next
        }
        return isLost
    }

    static let problem = """
        The database has lost messages that its servers had stored: it was restored from an older backup, or another server \
        has taken over that lacked them. Run luciq db new-epoch and restart the servers, so that no client takes new messages \
        for those that it has.
        """
}

/// Looks now and then while a server runs, and logs what it finds.
struct RowWatch: Service {
    private static let interval = Duration.seconds(30)

    let store: MySQLStore
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var memory = RowMemory(store: store)
            var isTold = false
            while (try? await Task.sleep(for: Self.interval)) != nil {
                // Without the database or Redis, later.
                guard let isLost = try? await memory.look() else { continue }
                if isLost, !isTold { logger.error("\(RowMemory.problem)") }
                isTold = isLost
            }
        }
    }
}
