package import Metrics
import MySQLClient
package import RedisClient
import Synchronization

/// Metrics of the store's connections.
struct ConnectionMetrics: Sendable {
    private struct Pool {
        let pool: MySQLPool
        let open: Meter
        let inUse: Meter
        let waiting: Meter
    }

    private let pools: [Pool]
    private let redis: RedisMetrics

    init(_ store: MySQLStore, factory: any MetricsFactory) {
        pools = [("reads", store.reads), ("writes", store.writes), ("scans", store.scans)].map { name, pool in
            func meter(_ label: String) -> Meter {
                Meter(label: label, dimensions: [("pool", name)], factory: factory)
            }
            return Pool(
                pool: pool, open: meter("luciq_mysql_connections"), inUse: meter("luciq_mysql_connections_in_use"),
                waiting: meter("luciq_mysql_waiting"))
        }
        redis = RedisMetrics(store.redis, name: "store", factory: factory)
    }

    func update() {
        for pool in pools {
            pool.open.set(pool.pool.open)
            pool.inUse.set(pool.pool.inUse)
            pool.waiting.set(pool.pool.waiting)
        }
        redis.update()
    }
}

/// Metrics of one Redis client.
package struct RedisMetrics: Sendable {
    private let client: RedisClient
    private let up: Meter
    private let inFlight: Meter
    private let failed: Counter
    /// The number of failures counted so far.
    private let counted = PostFailures()

    /// - Parameter name: tells the clients of a process apart.
    package init(_ client: RedisClient, name: String, factory: any MetricsFactory) {
        let dimensions = [("client", name)]
        self.client = client
        up = Meter(label: "luciq_redis_up", dimensions: dimensions, factory: factory)
        inFlight = Meter(label: "luciq_redis_commands_in_flight", dimensions: dimensions, factory: factory)
        failed = Counter(label: "luciq_redis_posts_failed_total", dimensions: dimensions, factory: factory)
        let connects = Counter(label: "luciq_redis_connects_total", dimensions: dimensions, factory: factory)
        client.onReconnect { connects.increment() }
        client.onRefusal { cause in
            Counter(
                label: "luciq_redis_refused_total", dimensions: dimensions + [("cause", cause)], factory: factory
            ).increment()
        }
    }

    /// Sets the gauges; called before they are read.
    package func update() {
        up.set(client.isConnected ? 1 : 0)
        inFlight.set(client.inFlight)
        failed.increment(by: Int64(counted.rise(to: client.postFailures)))
    }
}

private final class PostFailures: Sendable {
    private let count = Mutex(0)

    func rise(to now: Int) -> Int {
        count.withLock { count in
            defer { count = max(count, now) }
            return max(0, now - count)
        }
    }
}
