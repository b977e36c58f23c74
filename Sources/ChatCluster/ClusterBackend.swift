package import ChatCore
import Cryptography
package import Logging
package import Metrics
import MySQLClient
import NIOPosix
import RedisClient
import Scheduling

extension Backend {
    /// The cluster backend: one database that speaks MySQL's protocol and one Redis, shared by any number of processes.
    ///
    /// - Throws: `StoreProblem` if the database cannot be reached or has an unknown schema, or if the server at Redis'
    ///   address is not a Redis. The program starts without Redis if it is only down.
    package static func cluster(
        _ configuration: ClusterConfiguration, logger: Logger, metrics: any MetricsFactory = NOOPMetricsHandler.instance
    ) async throws -> Backend {
        if configuration.migrates { _ = try await MySQLKeeper(configuration, logger: logger).migrate() }
        let store = try await MySQLStore(
            configuration, observer: ReadObserver(logger: logger, metrics: metrics), logger: logger)
        try await check(store.redis, configuration, logger)
        for weakness in store.weaknesses { weakness.log(to: logger) }
        // Redis may have been emptied since the epoch began.
        let deployment = store.deployment
        if deployment.epoch > 0 {
            store.redis.post([RedisCommand("SET", deployment.epochKey, "\(deployment.epoch)")])
        }
        let connections = ConnectionMetrics(store, factory: metrics)
        let searchThreads = (0..<ClusterConfiguration.scanConnections).map { _ in
            ThreadExecutor(name: "luciq-search", for: .tasks, priority: .low)
        }
        return Backend(
            tenants: store,
            keys: store,
            audits: store,
            users: store,
            chats: store,
            members: store,
            messages: store,
            changes: store,
            reads: store,
            threads: store,
            tenantLog: store,
            newChatLog: store,
            chatLog: store,
            readers: store,
            searchIndex: store,
            generations: store,
            removals: store,
            bus: store.bus,
            rateBuckets: store.rateBuckets,
            presence: store.presence,
            ticketKey: SecretKey(SHA256.hmac("luciq tickets".utf8, key: deployment.key)),
            cursorEpoch: deployment.epoch,
            batchesInFlight: ClusterConfiguration.batchesInFlight,
            searchExecutors: searchThreads,
            isWritten: { store.writing.isOn },
            probe: { try await store.probe() },
            notes: { store.notes },
            updateGauges: { connections.update() },
            epoch: { store.writes.epoch },
            services: [
                store.redis, store.bus, store.rateBuckets, store.reads, store.writes, store.scans,
                AccessWatch(store: store, interval: configuration.accessInterval, logger: logger),
                RowWatch(store: store, logger: logger),
            ],
            close: { for thread in searchThreads { thread.stop() } }
        )
    }

    /// Starts without Redis if it is down: creates work without it.
    private static func check(
        _ redis: RedisClient, _ configuration: ClusterConfiguration, _ logger: Logger
    ) async throws {
        do throws(RedisError) {
            try await redis.check()
        } catch {
            if case .unusable = error {
                throw StoreProblem("\(error) (\(configuration.redis)).", isConfiguration: true)
            }
            logger.warning(
                "Starting without Redis: creates are slower", metadata: ["error": "\(error)"])
        }
    }
}

extension MySQLStore {
    /// A separate thread for Redis: each batch waits for a reply, which must not queue behind requests on the shared
    /// loops.
    private static let redisLoop = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// Checks the database and Redis, then makes the pools, which connect on first use.
    init(
        _ configuration: ClusterConfiguration, observer: ReadObserver = .none, logger: Logger
    ) async throws {
        let (deployment, weaknesses) = try await Self.check(configuration.mysql)
        let redis = RedisClient(configuration.redis, group: Self.redisLoop, logger: logger)
        let watch = PrimaryWatch(logger: logger)
        func pool(
            _ size: Int, readTimeout: Duration, writes: Bool = false, priority: ThreadExecutor.Priority = .normal
        ) -> MySQLPool {
            var mysql = configuration.mysql
            mysql.readTimeout = readTimeout
            mysql.priority = priority
            return MySQLPool(
                mysql, size: size, maxAge: configuration.connectionAge, watch: watch, writes: writes, logger: logger)
        }
        self.init(
            reads: pool(configuration.readConnections, readTimeout: configuration.patience),
            writes: pool(configuration.writeConnections, readTimeout: configuration.patience, writes: true),
            // A count over a large chat sends nothing until its end.
            scans: pool(ClusterConfiguration.scanConnections, readTimeout: .seconds(60), priority: .low),
            redis: redis,
            bus: RedisBus(
                configuration.redis, deployment: deployment, maxChats: ClusterConfiguration.maxHeardChats,
                server: { watch.data }, post: { redis.post($0) }, logger: logger),
            writing: WriteSignal(redis, of: deployment),
            rateBuckets: ClusterRateBuckets(
                redis: redis, deployment: deployment.id, group: Self.redisLoop, logger: logger),
            deployment: deployment,
            observer: observer,
            weaknesses: weaknesses,
            patience: configuration.patience,
            readPatience: configuration.readPatience,
            logger: logger
        )
    }

    /// - Returns: the database's deployment, and weaknesses of the server.
    private static func check(_ mysql: MySQLConfiguration) async throws -> (Deployment, [ServerWeakness]) {
        do {
            let connection = try await MySQLConnection.connect(mysql)
            let version = connection.serverVersion
            guard ServerVersion(version, isMariaDB: connection.isMariaDB).isSupported else {
                throw StoreProblem(
                    "The database \(mysql.description) is version \(version); MySQL 8 or MariaDB 10.6 is the least.")
            }
            let schema = try await connection.perform { try Schema($0) }
            try schema.checkIsCurrent(mysql.description)
            let deployment = try await connection.perform { connection in
                try Migrator.undisturbed { try Deployment(connection) }
            }
            let grants = try await connection.perform { try $0.grants() }
            await connection.close()
            return (deployment, connection.facts.weaknesses(grants: grants))
        } catch let error as MySQLError {
            throw StoreProblem(connecting: error, to: mysql.description)
        }
    }
}

/// The number at the start of a server's version.
struct ServerVersion {
    let isSupported: Bool

    /// - Parameter text: `8.0.36`, `10.11.6-MariaDB-1`, `5.5.5-10.11.6-MariaDB`.
    init(_ text: String, isMariaDB: Bool) {
        // MariaDB used to report 5.5.5 for the sake of replicas.
        let text = text.hasPrefix("5.5.5-") ? text.dropFirst(6) : text[...]
        let numbers = text.prefix { $0.isNumber || $0 == "." }.split(separator: ".").map { Int($0) ?? 0 }
        let least = isMariaDB ? [10, 6] : [8, 0]
        self.isSupported = !numbers.prefix(2).lexicographicallyPrecedes(least)
    }
}
