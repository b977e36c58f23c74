import ArgumentParser
import ChatCluster
import ChatCore
import ChatHTTP
import Foundation
import Hummingbird
import Logging
import ServiceLifecycle
import UnixSignals

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve the HTTP API.",
        discussion: """
            Every setting can be a flag, an environment variable or a key of the settings file, in this order. \
            docs/configuration.md tells more.
            """
    )

    @OptionGroup var database: DatabaseFlags
    @OptionGroup var flags: ServeFlags

    func run() async throws {
        try await Server(database: database, flags: flags).run()
    }
}

/// What `serve` runs, and `bench ceiling` with two routes more.
struct Server {
    let database: DatabaseFlags
    let flags: ServeFlags
    var extraRoutes: @Sendable (Routes) -> Void = { _ in }

    func run() async throws {
        let plan = try await plan()
        raiseFileLimit(for: plan.options.maxConnections)
        let logger = plan.logger
        let backend: Backend
        do {
            backend = try await plan.location.backend(logger: logger)
        } catch let problem as StoreProblem {
            throw ExitStatus.problem(problem)
        }
        let metrics = PrometheusRegistry()
        let service = ChatService(backend: backend, limits: plan.limits, logger: logger, metrics: metrics)
        let application = buildApplication(
            service: service,
            options: plan.options,
            metrics: metrics,
            logger: logger,
            extraRoutes: extraRoutes,
            onListening: { port in announce(port: port, plan) }
        )
        var configuration = ServiceGroupConfiguration(
            services: service.services(around: application), gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger)
        configuration.maximumGracefulShutdownDuration = plan.shutdownTimeout
        defer {
            // The services have ended, however they did; what was answered is safe however this ends.
            do { try backend.close() } catch {
                logger.error("The store did not close", metadata: ["error": "\(error)"])
            }
        }
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch {
            throw ExitStatus.listening(error, on: plan.options, called: Setup.host.variable) ?? error
        }
        logger.info("stopped")
    }

    private struct Plan {
        let options: HTTPOptions
        let limits: CommitLimits
        let location: StoreLocation
        let shutdownTimeout: Duration
        let logger: Logger
    }

    private func plan() async throws -> Plan {
        do {
            let settings = try await Settings(
                flags: database.values.merging(flags.values) { $1 }, file: database.config)
            let format = try settings.logFormat()
            let level = try settings.logLevel()
            return Plan(
                options: try settings.httpOptions(),
                limits: try settings.commitLimits(),
                location: try location(settings),
                shutdownTimeout: try settings.seconds(Setup.shutdownTimeout),
                logger: Logger(label: "luciq") { _ in LineLogHandler(format: format, level: level) }
            )
        } catch let invalid as Settings.Invalid {
            throw ExitStatus.configuration(invalid.description)
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
        guard Terminal.isStandardOutput else { return }
        print(
            """

              Luciq Chat is running: \(url)
              The data is in \(plan.location)

              Try: curl -s -X POST \(url)/applications -H 'Content-Type: application/json' -d '{"name":"My product"}'

              Ctrl-C stops it.

            """)
    }

    /// The usual soft limit of 1024 open files is less than the connections we accept; it is raised as far as it may be.
    private func raiseFileLimit(for connections: Int) {
        var limit = rlimit()
        guard getrlimit(.init(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, rlim_t(connections + 64)))
        setrlimit(.init(RLIMIT_NOFILE.rawValue), &limit)
    }
}
