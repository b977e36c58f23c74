package import ChatJobs
package import Logging
package import Metrics
package import ServiceLifecycle

/// The cluster's background work, for a worker to run.
package struct ClusterJobs: Sendable {
    /// To be registered by their names and aliases.
    package let jobs: [any Job]
    /// When each is enqueued.
    package let cron: [CronJob]
    /// What the jobs need: connections to the database and to Redis. To be started before the worker and stopped after it.
    package let services: [any Service]
    /// As `Backend.probe`.
    package let probe: @Sendable () async throws -> Void
    /// As `Backend.updateGauges`.
    package let updateGauges: @Sendable () -> Void
    /// Logs what of the database server weakens a promise: for the start.
    package let warn: @Sendable (Logger) -> Void

    /// Checks that the database is there and up to date; connections are made when they are used.
    ///
    /// - Parameter clock: the worker's; nil for one of its own.
    /// - Throws: `StoreProblem`.
    package init(
        _ configuration: ClusterConfiguration, dead: DeadLimits = DeadLimits(), clock: RedisClock? = nil,
        metrics: any MetricsFactory = NOOPMetricsHandler.instance, logger: Logger
    ) async throws {
        let store = try await MySQLStore(configuration, logger: logger)
        self.init(JobContext(store: store, logger: logger), dead: dead, clock: clock, metrics: metrics)
    }

    init(
        _ context: JobContext, dead: DeadLimits = DeadLimits(), clock: RedisClock? = nil,
        metrics: any MetricsFactory = NOOPMetricsHandler.instance
    ) {
        let store = context.store
        let connections = ConnectionMetrics(store, factory: metrics)
        self.updateGauges = { connections.update() }
        self.probe = { try await store.probe() }
        self.warn = { logger in for weakness in store.weaknesses { weakness.log(to: logger) } }
        self.services = [store.redis, store.reads, store.writes, store.scans]
        self.jobs = [
            SyncCounts(context: context), Reconcile(context: context), Recount(context: context),
            ExpireIdempotencyKeys(context: context),
            TrimStatistics(context: context, dead: dead, clock: clock),
        ]
        self.cron = [
            CronJob(
                name: "sync-chat-counts", expression: "* * * * *", job: SyncCounts.name,
                description: "Writes the counts of what changed, closes holes, and mends Redis' counters."),
            CronJob(
                name: "reconcile", expression: "*/5 * * * *", job: Reconcile.name,
                description: "Recounts some chats and applications, whether they changed or not."),
            CronJob(
                name: "recount", expression: "17 3 * * *", job: Recount.name,
                description: "Recounts every chat and every application."),
            CronJob(
                name: "expire-idempotency-keys", expression: "7 * * * *", job: ExpireIdempotencyKeys.name,
                description: "Deletes idempotency keys that have expired."),
            CronJob(
                name: "trim-statistics", expression: "40 4 * * *", job: TrimStatistics.name,
                description: "Trims the dead set, old statistics and what processes left behind."),
        ]
    }
}
