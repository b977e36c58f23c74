import ArgumentParser
import ChatCluster
import ChatCore
import ChatHTTP
import ChatSearch
import Foundation
import Logging
import ServiceLifecycle
import TLS

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve the HTTP API.",
        discussion: """
            Every setting can be a flag, an environment variable or a key of the settings file, in this order. \
            docs/configuration.md tells more.
            """
    )

    @OptionGroup var database: DatabaseFlags
    @OptionGroup var engine: EngineFlags
    @OptionGroup var flags: ServeFlags

    func run() async throws {
        ProcessSignals.hold()
        defer { LogQueue.standardError.flush() }
        var plan = try plan()
        let logger = plan.logger
        plan.options.maxConnections = try FileLimit.connections(
            plan.options.maxConnections,
            beside: FileLimit.process(listeners: 2) + plan.location.openFiles + (plan.ops?.maxConnections ?? 0),
            setting: Setup.maxConnections.variable, logger: logger)
        FileLimit.takeTimers()
        let metrics = PrometheusRegistry(version: Luciq.version)
        LogQueue.standardError.measure(in: metrics)
        let backend: Backend
        do {
            backend = try await plan.location.backend(logger: logger, metrics: metrics)
        } catch let problem as StoreProblem {
            throw ExitStatus.problem(problem)
        }
        metrics.beforeReading(backend.updateGauges)
        let watch = plan.certificate.map { CertificateWatch($0, logger: logger, metrics: metrics) }
        plan.options.certificate = watch?.certificate
        let search = plan.engine.map {
            EngineSearch($0, backend.generations, logger: logger, metrics: metrics)
        }
        let service = ChatService(
            backend: backend, limits: plan.limits, policy: plan.policy, rates: plan.rates,
            deletionDelay: plan.deletionDelay, edits: plan.edits, engine: search, logger: logger, metrics: metrics)
        let server = buildServer(
            service: service,
            options: plan.options,
            metrics: metrics,
            logger: logger,
            onListening: { [plan] port in announce(port: port, plan) }
        )
        defer {
            // The services have ended, with or without an error; answered writes are safe in any case.
            do { try backend.close() } catch {
                logger.error("The store did not close", metadata: ["error": "\(error)"])
            }
        }
        do {
            // Health is the last to be stopped: it answers while the others drain.
            let services =
                health(backend, plan, metrics) + [watch].compactMap(\.self) + service.services(around: server)
                + upkeep(backend, plan, metrics)
            try await ProcessSignals.run(
                services.map { .init(service: $0) }, limit: plan.shutdownTimeout,
                actions: watch.map { watch in [SIGHUP: { Task { await watch.reload() } }] } ?? [:], logger: logger)
        } catch let code as ExitCode {
            throw code
        } catch {
            throw ExitStatus.listening(error, on: plan.options, called: Setup.host.variable)
                ?? ExitStatus.failure("\(error)")
        }
        logger.info("stopped")
    }

    /// The deletion of applications, and the feed of the search engine. In a cluster they are the workers'.
    private func upkeep(_ backend: Backend, _ plan: Plan, _ metrics: PrometheusRegistry) -> [any Service] {
        guard case .sqlite = plan.location else { return [] }
        let remover = Remover(
            backend.removals, generations: backend.generations, engine: plan.engine, logger: plan.logger)
        guard let engine = plan.engine else { return [remover] }
        return [remover, EngineFeed(engine, EngineSource(backend), logger: plan.logger, metrics: metrics)]
    }

    /// The service of health and metrics with a separate listener.
    private func health(_ backend: Backend, _ plan: Plan, _ metrics: PrometheusRegistry) -> [any Service] {
        guard let ops = plan.ops else { return [] }
        let logger = plan.logger
        let server = buildHealthServer(
            probe: backend.probe, options: ops, metrics: metrics, logger: logger,
            onListening: { port in
                logger.info("listening for health and metrics", metadata: ["url": .string(ops.url(port: port))])
            })
        return [OpsListener(server: server, options: ops)]
    }

    private static let keyHeader = " -H \"Authorization: Bearer $LUCIQ_ADMIN_KEY\""

    private struct Plan {
        var options: HTTPOptions
        let ops: HTTPOptions?
        let certificate: CertificateFiles.Loaded?
        let limits: CommitLimits
        let policy: AccessPolicy
        let deletionDelay: Duration
        let edits: EditRules
        let rates: LimitDefaults
        let location: StoreLocation
        let engine: ElasticsearchEngine?
        let shutdownTimeout: Duration
        let logger: Logger
    }

    private func plan() throws -> Plan {
        do {
            let settings = try Settings(
                flags: [engine.values, flags.values].reduce(database.values) { $0.merging($1) { $1 } },
                file: database.config)
            let format = try settings.logFormat()
            let level = try settings.logLevel()
            let options = try settings.httpOptions()
            return Plan(
                options: options,
                ops: try settings.opsOptions(),
                certificate: try settings.certificateFiles()?.load(),
                limits: try settings.commitLimits(),
                policy: try settings.accessPolicy(listeningOn: options.host),
                deletionDelay: try settings.deletionDelay(),
                edits: try settings.editRules(),
                rates: try settings.limitDefaults(),
                location: try location(settings),
                engine: try settings.engine(),
                shutdownTimeout: try settings.seconds(Setup.shutdownTimeout),
                logger: Logger(label: "luciq") { _ in LineLogHandler(format: format, level: level) }
            )
        } catch let invalid as Settings.Invalid {
            throw ExitStatus.configuration(invalid.description)
        } catch let error as TLSError {
            throw ExitStatus.configuration("\(error)".printable)
        }
    }

    private func location(_ settings: Settings) throws -> StoreLocation {
        guard case .cluster(var configuration) = try settings.storeLocation() else {
            return try settings.storeLocation()
        }
        configuration.migrates = flags.migrate
        return .cluster(configuration)
    }

    private func announce(port: Int, _ plan: Plan) {
        let url = plan.options.url(port: port)
        plan.logger.info("listening", metadata: ["url": .string(url), "database": .string(plan.location.description)])
        Terminal.greet(
            """

              Luciq Chat is running: \(url)
              The data is in \(plan.location)

              Try: curl -s -X POST \(url)/applications\(plan.policy.isOpen ? "" : Self.keyHeader) \
            -H 'Content-Type: application/json' -d '{"name":"My product"}'

              Ctrl-C stops it.

            """)
    }
}

/// The listener for health and metrics; it says which one it is when it cannot listen.
private struct OpsListener: Service {
    let server: HTTPServer
    let options: HTTPOptions

    func run() async throws {
        do {
            try await server.run()
        } catch {
            throw ExitStatus.listening(error, on: options, called: Setup.opsHost.variable) ?? error
        }
    }
}
