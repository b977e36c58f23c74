import ArgumentParser

/// The flags of the database, for every command that needs it.
struct DatabaseFlags: ParsableArguments {
    @Option(help: "JSON file with settings. Environment: LUCIQ_CONFIG.")
    var config: String?

    @Option(
        help: ArgumentHelp(
            """
            The database: sqlite:///absolute/path, or mysql://user:password@host/database for several machines. \
            Default: ./data/luciq.sqlite. Environment: DATABASE_URL.
            """,
            valueName: "url"))
    var databaseUrl: String?

    @Option(
        help: ArgumentHelp(
            "The Redis for a MySQL database: redis://host:6379/0. Default: none. Environment: REDIS_URL.",
            valueName: "url"))
    var redisUrl: String?

    @Option(help: "Connections to a MySQL database for reading. Default: 8. Environment: DATABASE_POOL.")
    var databasePool: String?

    @Option(
        help: "Seconds until a connection to a MySQL database is replaced. Default: 60. Environment: DATABASE_MAX_AGE.")
    var databaseMaxAge: String?

    @Option(
        help: """
            The host of a MySQL database if DATABASE_URL is not set, as in the Rails application. Default: none. \
            Environment: DB_HOST.
            """)
    var dbHost: String?

    @Option(help: "Its port. Default: 3306. Environment: DB_PORT.")
    var dbPort: String?

    @Option(help: "Its user; the password is DB_PASSWORD. Default: root. Environment: DB_USERNAME.")
    var dbUsername: String?

    @Option(help: "Its database. Default: luciq. Environment: DB_NAME.")
    var dbName: String?

    var values: [String: String] {
        [
            Setup.databaseURL.variable: databaseUrl,
            Setup.redisURL.variable: redisUrl,
            Setup.databasePool.variable: databasePool,
            Setup.databaseMaxAge.variable: databaseMaxAge,
            Setup.dbHost.variable: dbHost,
            Setup.dbPort.variable: dbPort,
            Setup.dbUsername.variable: dbUsername,
            Setup.dbName.variable: dbName,
        ].compactMapValues(\.self)
    }
}

/// The flags of the search engine.
struct EngineFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            An Elasticsearch or OpenSearch for searches across an application: https://user:password@host:9200. The \
            variable keeps the password off the command line. An API key is ELASTICSEARCH_API_KEY. Default: none. \
            Environment: ELASTICSEARCH_URL.
            """,
            valueName: "url"))
    var elasticsearchUrl: String?

    @Option(
        help: "The alias, and how the names of its indexes begin. Default: luciq. Environment: ELASTICSEARCH_INDEX.")
    var elasticsearchIndex: String?

    var values: [String: String] {
        [
            Setup.elasticsearchURL.variable: elasticsearchUrl,
            Setup.elasticsearchIndex.variable: elasticsearchIndex,
        ].compactMapValues(\.self)
    }
}

/// The flags of a long-running process: its log and its shutdown.
struct ProcessFlags: ParsableArguments {
    @Option(help: "trace, debug, info, notice, warning, error or critical. Default: info. Environment: LOG_LEVEL.")
    var logLevel: String?

    @Option(help: "human, json, or auto: human on a terminal. Default: auto. Environment: LOG_FORMAT.")
    var logFormat: String?

    @Option(help: "Seconds that a shutdown may take. Default: 25. Environment: SHUTDOWN_TIMEOUT.")
    var shutdownTimeout: String?

    var values: [String: String] {
        [
            Setup.logLevel.variable: logLevel,
            Setup.logFormat.variable: logFormat,
            Setup.shutdownTimeout.variable: shutdownTimeout,
        ].compactMapValues(\.self)
    }
}

/// The flags of `luciq serve`.
struct ServeFlags: ParsableArguments {
    @Flag(help: "Migrate the database's schema first. An embedded database is always migrated.")
    var migrate = false

    @Option(help: "Address to listen on. Default: 127.0.0.1. Environment: HOST.")
    var host: String?

    @Option(help: "Port to listen on; 0 for any free one. Default: 3000. Environment: PORT.")
    var port: String?

    @OptionGroup var process: ProcessFlags

    @Option(help: "Seconds that a write may wait for the store. Default: 10. Environment: REQUEST_TIMEOUT.")
    var requestTimeout: String?

    @Option(help: "Seconds until a connection without a request is closed. Default: 90. Environment: IDLE_TIMEOUT.")
    var idleTimeout: String?

    @Option(help: "Seconds that a request's body may take to arrive. Default: 30. Environment: BODY_TIMEOUT.")
    var bodyTimeout: String?

    @Option(help: "Connections open at the same time. Default: 10000. Environment: MAX_CONNECTIONS.")
    var maxConnections: String?

    @Option(
        help: """
            Connections from one address; 0 for three quarters of MAX_CONNECTIONS. Behind a proxy, allow all of them. \
            Default: 0. Environment: CONNECTIONS_PER_ADDRESS.
            """)
    var connectionsPerAddress: String?

    @Option(
        help: """
            Proxies whose X-Forwarded-For tells a client's address: addresses and ranges such as 10.0.0.0/8, separated by \
            commas. Default: none. Environment: TRUSTED_PROXIES.
            """)
    var trustedProxies: String?

    @Option(
        help: """
            What each user may do in a minute, with the burst, and how many streams may be open. Default: create=120/60 \
            change=120/60 read=1200/600 stream=600/300/50. Environment: LIMITS_USER.
            """)
    var limitsUser: String?

    @Option(
        help: "The same for each application as a whole. Default: off. Environment: LIMITS_APPLICATION.")
    var limitsApplication: String?

    @Option(
        help: """
            Wrong credentials a minute from one address; past it, it gets 429. 0 for any number. Default: 30. Environment: \
            LIMITS_AUTH.
            """)
    var limitsAuth: String?

    @Option(
        help: ArgumentHelp(
            """
            The certificate for HTTPS, with its chain, as a PEM file; read again when it changes. Default: none. \
            Environment: TLS_CERT.
            """,
            valueName: "file"))
    var tlsCert: String?

    @Option(
        help: ArgumentHelp(
            "The certificate's private key, as a PEM file. Default: none. Environment: TLS_KEY.", valueName: "file"))
    var tlsKey: String?

    @Option(help: "Address of a listener for health and metrics. Default: 127.0.0.1. Environment: OPS_HOST.")
    var opsHost: String?

    @Option(help: "The port of that listener; 0 for none. Default: 0. Environment: OPS_PORT.")
    var opsPort: String?

    @Option(help: "Writes that may wait, of each kind. Default: 8192. Environment: MAX_PENDING.")
    var maxPending: String?

    @Option(help: "Bytes that may wait to be written. Default: 16777216. Environment: MAX_PENDING_BYTES.")
    var maxPendingBytes: String?

    @Option(
        help:
            "Bytes of requests and answers held for slow clients. Default: 268435456. Environment: MAX_HELD_BYTES."
    )
    var maxHeldBytes: String?

    @Option(help: "Origin that browsers may call from, or *. Default: none. Environment: CORS_ORIGIN.")
    var corsOrigin: String?

    @Option(
        help: """
            Accepted host names, separated by commas; .example.com includes its subdomains, * accepts any. If not set, \
            any, or only local ones on a loopback address. Default: none. Environment: ALLOWED_HOSTS.
            """)
    var allowedHosts: String?

    @Option(
        help: """
            true: anyone may make applications; false: only LUCIQ_ADMIN_KEY may. If not set, anyone may on a loopback \
            address without LUCIQ_ADMIN_KEY. Default: none. Environment: OPEN_APPLICATIONS.
            """)
    var openApplications: String?

    @Option(
        help:
            "The longest time from iat to exp of a user token, in seconds. Default: 86400. Environment: TOKEN_MAX_LIFETIME."
    )
    var tokenMaxLifetime: String?

    @Option(
        help:
            "Days from the request to delete an application until it is deleted. Default: 30. Environment: DELETE_AFTER_DAYS."
    )
    var deleteAfterDays: String?

    @Option(
        help: """
            How long users may edit and delete their own messages, in seconds. Default: 86400. Environment: EDIT_WINDOW.
            """)
    var editWindow: String?

    @Option(
        help: """
            Days for which texts that were edited away are kept; 0 keeps none. Default: 30. Environment: \
            EDIT_HISTORY_DAYS.
            """)
    var editHistoryDays: String?

    var values: [String: String] {
        [
            Setup.host.variable: host,
            Setup.port.variable: port,
            Setup.requestTimeout.variable: requestTimeout,
            Setup.idleTimeout.variable: idleTimeout,
            Setup.bodyTimeout.variable: bodyTimeout,
            Setup.maxConnections.variable: maxConnections,
            Setup.connectionsPerAddress.variable: connectionsPerAddress,
            Setup.trustedProxies.variable: trustedProxies,
            Setup.limitsUser.variable: limitsUser,
            Setup.limitsApplication.variable: limitsApplication,
            Setup.limitsAuth.variable: limitsAuth,
            Setup.tlsCert.variable: tlsCert,
            Setup.tlsKey.variable: tlsKey,
            Setup.opsHost.variable: opsHost,
            Setup.opsPort.variable: opsPort,
            Setup.maxPending.variable: maxPending,
            Setup.maxPendingBytes.variable: maxPendingBytes,
            Setup.maxHeldBytes.variable: maxHeldBytes,
            Setup.corsOrigin.variable: corsOrigin,
            Setup.allowedHosts.variable: allowedHosts,
            Setup.openApplications.variable: openApplications,
            Setup.tokenMaxLifetime.variable: tokenMaxLifetime,
            Setup.deleteAfterDays.variable: deleteAfterDays,
            Setup.editWindow.variable: editWindow,
            Setup.editHistoryDays.variable: editHistoryDays,
        ].compactMapValues(\.self).merging(process.values) { $1 }
    }
}
