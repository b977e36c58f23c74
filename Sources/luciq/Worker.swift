import ArgumentParser
import ChatCluster
import ChatCore
import ChatHTTP
import ChatJobs
import ChatSearch
import Foundation
import Logging
import MySQLClient
import RedisClient
import ServiceLifecycle

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract:
            "Perform background jobs: a cluster's own, by the clock, and those in the queues, in Sidekiq's formats.",
        discussion: """
            TERM ends it, TSTP makes it take no more jobs, TTIN writes what it is doing to the log. Every setting can be \
            a flag, an environment variable or a key of the settings file, in this order. docs/operations/worker.md tells \
            more.
            """
    )

    @OptionGroup var database: DatabaseFlags
    @OptionGroup var engine: EngineFlags
    @OptionGroup var flags: WorkerFlags

    func run() async throws {
        ProcessSignals.hold([SIGTSTP, SIGTTIN])
        defer { LogQueue.standardError.flush() }
        var plan = try plan()
        let logger = plan.logger
        // A connection to Redis for each queue, and one to the database for each job.
        plan.health.maxConnections = try FileLimit.connections(
            plan.health.maxConnections,
            beside: FileLimit.process(listeners: 1, loops: 1) + plan.worker.queues.count + plan.worker.concurrency
                + plan.cluster.connections + 8,
            setting: "the worker's connections", logger: logger)
        FileLimit.takeTimers()
        let jobs: ClusterJobs
        // Its own connection, so that the jobs' commands do not wait behind the queues' traffic.
        let redis = RedisClient(plan.cluster.redis, logger: logger)
        let clock = RedisClock(redis, logger: logger)
        let metrics = PrometheusRegistry(version: Luciq.version)
        LogQueue.standardError.measure(in: metrics)
        do {
            jobs = try await ClusterJobs(
                plan.cluster, dead: plan.worker.dead, clock: clock, metrics: metrics, logger: logger)
            try await check(redis, plan)
            jobs.warn(logger)
        } catch let problem as StoreProblem {
            throw ExitStatus.problem(problem)
        }
        let connection = RedisMetrics(redis, name: "worker", factory: metrics)
        metrics.beforeReading {
            jobs.updateGauges()
            connection.update()
        }
        let registry = JobRegistry(jobs.jobs)
        let worker = Worker(
            plan.worker, jobs: registry, redis: redis, clock: clock, logger: logger, metrics: metrics)
        let scheduler = try CronScheduler(
            jobs.cron.map { $0.moved(to: plan.worker.queues[0].name) }, jobs: registry, redis: redis,
            format: plan.worker.format, cron: plan.cron, clock: clock, logger: logger)
        let health = buildHealthServer(
            probe: { try await probe(jobs, redis) }, options: plan.health, metrics: metrics,
            logger: logger,
            onListening: { [plan] port in announce(port: port, worker.identity, plan) })
        // They stop in reverse order: health checks work until the worker has stopped.
        let services: [any Service] =
            [redis, ClockWatch(logger: logger)] + jobs.services + feed(jobs, plan, metrics) + [
                Remover(jobs.removals, generations: jobs.generations, engine: plan.engine, logger: logger),
                health, OnceConnected(redis: redis, service: worker),
                OnceConnected(redis: redis, service: scheduler),
            ]
        do {
            try await ProcessSignals.run(
                services.map { service in
                    // The worker also ends when Sidekiq's web page tells it to.
                    .init(service: service, successTerminationBehavior: .gracefullyShutdownGroup)
                },
                // The worker bounds its own shutdown; this bounds the rest.
                limit: plan.worker.shutdownTimeout + .seconds(10),
                // The same signals as Sidekiq.
                actions: [SIGTSTP: { worker.quiet() }, SIGTTIN: { worker.dump() }],
                logger: logger)
        } catch {
            throw ExitStatus.listening(error, on: plan.health, called: Setup.workerHost.variable)
                ?? ExitStatus.failure("\(error)")
        }
        logger.info("stopped")
    }

    /// The feed of the search engine, beside the jobs: a job of the clock would be late.
    private func feed(_ jobs: ClusterJobs, _ plan: Plan, _ metrics: PrometheusRegistry) -> [any Service] {
        guard let engine = plan.engine else { return [] }
        return [EngineFeed(engine, jobs.engineSource, logger: plan.logger, metrics: metrics)]
    }

    private struct Plan {
        let worker: WorkerConfiguration
        /// Nil: detected from Redis.
        let cron: CronFormat?
        var health: HTTPOptions
        let cluster: ClusterConfiguration
        let engine: ElasticsearchEngine?
        let logger: Logger
    }

    private func plan() throws -> Plan {
        do {
            let settings = try Settings(
                flags: [engine.values, flags.values].reduce(database.values) { $0.merging($1) { $1 } },
                file: database.config)
            guard case .cluster(let cluster) = try settings.storeLocation() else {
                throw Settings.Invalid(
                    description:
                        "A SQLite database needs no worker: set DATABASE_URL to a MySQL database to run one.")
            }
            let format = try settings.logFormat()
            let level = try settings.logLevel()
            return Plan(
                worker: try settings.workerConfiguration(),
                cron: try settings.sidekiqCronFormat(),
                health: try settings.healthOptions(),
                cluster: cluster,
                engine: try settings.engine(),
                logger: Logger(label: "luciq") { _ in LineLogHandler(format: format, level: level) }
            )
        } catch let invalid as Settings.Invalid {
            throw ExitStatus.configuration(invalid.description)
        }
    }

    /// Waits for a Redis that is down.
    private func check(_ redis: RedisClient, _ plan: Plan) async throws {
        do throws(RedisError) {
            try await redis.check()
        } catch {
            guard case .unusable = error else { return }
            throw StoreProblem("\(error) (\(plan.cluster.redis)).", isConfiguration: true)
        }
    }

    private func probe(_ jobs: ClusterJobs, _ redis: RedisClient) async throws {
        do throws(RedisError) {
            _ = try await redis.send(RedisCommand("PING"))
        } catch {
            throw ChatError.unavailable(reason: "\(error)")
        }
        try await jobs.probe()
    }

    private func announce(port: Int, _ identity: String, _ plan: Plan) {
        let url = plan.health.url(port: port)
        let queues = plan.worker.queues.map(\.name).joined(separator: " ")
        plan.logger.info(
            "listening",
            metadata: [
                "url": .string(url), "database": .string(plan.cluster.mysql.description),
                "redis": .string(plan.cluster.redis.description), "queues": .string(queues),
                "concurrency": .stringConvertible(plan.worker.concurrency), "process": .string(identity),
            ])
        Terminal.greet(
            """

              A worker of Luciq Chat is running, on the queues \(queues)
              Health and metrics: \(url)/readyz, \(url)/metrics

              luciq jobs stats tells what it does. Ctrl-C stops it.

            """)
    }
}

extension CronJob {
    /// Puts cron jobs into a queue that this worker serves.
    fileprivate func moved(to queue: String) -> CronJob {
        CronJob(name: name, expression: expression, job: job, queue: queue, description: description)
    }
}

/// A service that starts when Redis is connected, or after a while without: so the first connect logs no outage.
private struct OnceConnected: Service {
    let redis: RedisClient
    let service: any Service

    func run() async throws {
        // It waits for Redis by itself.
        try? await redis.waitUntilConnected(timeout: .seconds(3))
        try await service.run()
    }
}
