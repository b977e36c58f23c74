package import ChatCore
package import ChatJobs
package import Logging
package import Metrics
package import ServiceLifecycle

/// The cluster's jobs, for a worker to run.
package struct ClusterJobs: Sendable {
    /// The jobs; register them under their names and aliases.
    package let jobs: [any Job]
    /// The schedule of the jobs.
    package let cron: [CronJob]
    /// The connections to the database and to Redis, and the search index. Start them before the worker, and stop them
    /// after it.
    package let services: [any Service]
    /// What feeds a search engine.
    package let engineSource: EngineSource
    /// What the deletion of applications goes by.
    package let removals: any TenantRemovals
    package let generations: any SearchGenerations
    /// Like `Backend.probe`.
    package let probe: @Sendable () async throws -> Void
    /// Like `Backend.updateGauges`.
    package let updateGauges: @Sendable () -> Void
    /// Logs settings of the database server that weaken a guarantee. Call it at the start.
    package let warn: @Sendable (Logger) -> Void

    /// `changedChats` is a statement, and names chats for a while after each change.
    private static var searchIndex: SearchIndexLimits {
        var limits = SearchIndexLimits()
        limits.pause = .seconds(5)
        return limits
    }

    /// Checks that the database is reachable and up to date; opens connections on first use.
    ///
    /// - Parameter clock: the worker's; nil for a separate one.
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
        self.engineSource = EngineSource(store)
        self.removals = store
        self.generations = store
        self.updateGauges = { connections.update() }
        self.probe = { try await store.probe() }
        self.warn = { logger in for weakness in store.weaknesses { weakness.log(to: logger) } }
        self.services = [
            store.redis, store.reads, store.writes, store.scans,
            SearchIndexer(
                index: store, messages: store, readers: store, log: store, limits: Self.searchIndex,
                logger: context.logger, metrics: metrics),
        ]
        self.jobs = [
            SyncCounts(context: context), Reconcile(context: context), Recount(context: context),
            ExpireIdempotencyKeys(context: context),
            TrimStatistics(context: context, dead: dead, clock: clock),
        ]
        self.cron = [
            CronJob(
                name: "sync-chat-counts", expression: "* * * * *", job: SyncCounts.name,
                description: "Updates changed counts, closes holes, and repairs Redis' counters."),
            CronJob(
                name: "reconcile", expression: "*/5 * * * *", job: Reconcile.name,
                description: "Recounts a few chats and applications, changed or not."),
            CronJob(
                name: "recount", expression: "17 3 * * *", job: Recount.name,
                description: "Recounts every chat and every application."),
            CronJob(
                name: "expire-idempotency-keys", expression: "7 * * * *", job: ExpireIdempotencyKeys.name,
                description: "Deletes idempotency keys that have expired."),
            CronJob(
                name: "trim-statistics", expression: "40 4 * * *", job: TrimStatistics.name,
                description: "Trims the dead set, old statistics and entries of dead processes."),
        ]
    }
}
