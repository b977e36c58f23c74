import ChatCore
import Cryptography
import Logging
import MySQLClient
import RedisClient

/// The cluster's store: the tables that the Rails application made, with numbers proposed by Redis.
///
/// A process keeps no state that another one could change, so any number of processes may share the database.
struct MySQLStore: Sendable {
    /// Connections for point look-ups and pages.
    let reads: MySQLPool
    /// Connections for batches.
    let writes: MySQLPool
    /// A few connections for reads that scan many rows, so that they never delay short ones.
    let scans: MySQLPool
    let redis: RedisClient
    let bus: RedisBus
    let rateBuckets: ClusterRateBuckets
    let messageLog: NumberedLog
    let chatLog: NumberedLog
    let counting = Counting()
    let scout = VoidScout()
    let lookups = MessageLookups()
    let recentChanges = RecentChanges()
    let writing: WriteSignal
    /// The time limit of one search.
    var searchDeadline = SearchWalk.deadline
    /// Measures clients' reads.
    let observer: ReadObserver
    /// Weaknesses found at the start.
    let weaknesses: [ServerWeakness]
    let deployment: Deployment
    /// `ClusterConfiguration.readPatience`.
    private let readPatience: Duration
    /// How long a probe is retried.
    private static let probePatience = Duration.seconds(1)

    var presence: RedisPresence { RedisPresence(redis: redis, deployment: deployment.id) }

    init(
        reads: MySQLPool, writes: MySQLPool, scans: MySQLPool, redis: RedisClient, bus: RedisBus,
        writing: WriteSignal, rateBuckets: ClusterRateBuckets, deployment: Deployment,
        observer: ReadObserver = .none, weaknesses: [ServerWeakness] = [], patience: Duration, readPatience: Duration,
        logger: Logger
    ) {
        self.observer = observer
        self.reads = reads
        self.writes = writes
        self.scans = scans
        self.redis = redis
        self.bus = bus
        self.writing = writing
        self.rateBuckets = rateBuckets
        self.weaknesses = weaknesses
        self.deployment = deployment
        self.readPatience = readPatience
        func log(_ table: NumberedTable) -> NumberedLog {
            NumberedLog(
                table: table, pool: writes, numbers: NumberSource(redis: redis, table: table), patience: patience,
                logger: logger)
        }
        self.messageLog = log(.messages)
        self.chatLog = log(.chats)
    }

    /// A short read for a client, measured.
    func read<Result: Sendable>(
        _ operation: ReadObserver.Operation, _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        try await observer.observe(operation) { try await read(body) }
    }

    /// A short read; retried on another connection if the first was lost.
    func read<Result: Sendable>(
        within patience: Duration? = nil,
        _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws(ChatError) -> Result {
        var retry = Retry(patience: patience ?? readPatience)
        while true {
            do throws(MySQLError) {
                return try await reads.run(within: retry.remaining, body)
            } catch {
                guard await retry.mayGoOn(after: error) else { throw ChatError(driver: error) }
            }
        }
    }

    /// A long read for a client, measured.
    func scan<Result: Sendable>(
        _ operation: ReadObserver.Operation, within time: Duration, limit: Duration? = nil,
        _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        try await observer.observe(operation) { try await scan(within: time, limit: limit, body) }
    }

    /// A long read.
    ///
    /// - Parameter limit: the most time of one statement.
    func scan<Result: Sendable>(
        within time: Duration, limit: Duration? = nil, _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        do {
            return try await scans.withConnection(timeout: time) { connection in
                try connection.limitSelects(to: limit)
                return try body(connection)
            }
        } catch let error as MySQLError {
            throw ChatError(driver: error)
        }
    }

    /// Redis' failures, and the fallback for each.
    var notes: [String] {
        let causes = redis.refusalCauses
        if !redis.isConnected { return ["Redis is away; numbers come from the database"] }
        if causes.isEmpty { return [] }
        return ["Redis refuses writes: \(causes.joined(separator: ", ")); numbers come from the database"]
    }

    /// - Throws: `ChatError.unavailable` if the database cannot be read or written.
    func probe() async throws { try await observer.observe(.probe) { try await checkServer() } }

    private func checkServer() async throws {
        _ = try await read(within: Self.probePatience) { connection in
            try connection.first("SELECT 1 FROM applications LIMIT 1") { $0.integer(0) }
        }
        var retry = Retry(patience: Self.probePatience)
        while true {
            do throws(MySQLError) {
                return try await writes.check(within: retry.remaining)
            } catch {
                // All connections are busy, and so the database works.
                if error.kind == .poolExhausted { return }
                guard await retry.mayGoOn(after: error) else { throw ChatError(driver: error) }
            }
        }
    }
}
