import ChatCore
import Logging
package import MySQLClient
package import RedisClient

/// The addresses of the database and Redis, and one process' limits for them.
package struct ClusterConfiguration: Sendable {
    package var mysql: MySQLConfiguration
    package var redis: RedisConfiguration
    /// Connections for point look-ups and pages; appends and scans have a few more of their own.
    package var readConnections = 8
    /// The maximum age of a connection to the database.
    package var connectionAge = Duration.seconds(60)
    /// How long a write is retried.
    package var patience = Duration.seconds(8)
    /// How long a read is retried: longer than a proxy takes to leave a stopped server.
    package var readPatience = Duration.seconds(3)
    /// How often to look for changes of access, whatever the bus tells (`AccessChanges`).
    package var accessInterval = Duration.seconds(4)
    /// Whether to migrate at the start.
    package var migrates = false

    package init(mysql: MySQLConfiguration, redis: RedisConfiguration) {
        self.mysql = mysql
        self.redis = redis
    }

    /// Connections for appends: a few batches of messages and of chats, one more batch of each that may wait for locks,
    /// and one of applications.
    var writeConnections: Int { 2 * (Self.batchesInFlight + 1) + 1 }
    static let batchesInFlight = 4
    static let scanConnections = 2
    /// The most connections of one server process to the database.
    package var connections: Int { readConnections + writeConnections + Self.scanConnections }
    /// The most chats that a process subscribes to on the bus: as many as it may have readers.
    static let maxHeardChats = StreamLimits().subscriptions

    /// A connection to Redis for one task.
    func withRedis(logger: Logger, _ body: (RedisClient) async throws -> Void) async throws {
        let redis = RedisClient(redis, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await redis.run() }
            defer { group.cancelAll() }
            try await redis.waitUntilConnected(timeout: configurationTimeout)
            try await body(redis)
        }
    }

    private var configurationTimeout: Duration { redis.connectTimeout + .seconds(1) }
}
