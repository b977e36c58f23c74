/// A setting. Its three names follow from its key: `database.url` in the file, `DATABASE_URL` in the environment, and
/// `--database-url` on the command line.
struct Setting<Value: Sendable>: Sendable {
    let key: String
    let defaultValue: Value
    let flag: String

    /// - Parameter flag: nil for the flag that follows from the key.
    init(_ key: String, default defaultValue: Value, flag: String? = nil) {
        self.key = key
        self.defaultValue = defaultValue
        self.flag = flag ?? "--" + key.replacing(".", with: "-").replacing("_", with: "-")
    }

    var variable: String { Setup.variable(of: key) }
}

/// All settings. docs/configuration.md lists them, and a test compares.
enum Setup {
    static let host = Setting("host", default: "127.0.0.1")
    static let port = Setting("port", default: 3000)
    static let databaseURL = Setting("database.url", default: "")
    static let databasePool = Setting("database.pool", default: 8)
    static let databaseMaxAge = Setting("database.max_age", default: 60)
    static let redisURL = Setting("redis.url", default: "")
    static let dbHost = Setting("db.host", default: "")
    static let dbPort = Setting("db.port", default: 3306)
    static let dbUsername = Setting("db.username", default: "root")
    static let dbPassword = Setting("db.password", default: "")
    static let dbName = Setting("db.name", default: "luciq")
    static let logLevel = Setting("log.level", default: "info")
    static let logFormat = Setting("log.format", default: "auto")
    static let shutdownTimeout = Setting("shutdown.timeout", default: 25)
    static let requestTimeout = Setting("request.timeout", default: 10)
    static let idleTimeout = Setting("idle.timeout", default: 90)
    static let bodyTimeout = Setting("body.timeout", default: 30)
    static let maxConnections = Setting("max.connections", default: 10_000)
    static let connectionsPerAddress = Setting("connections.per_address", default: 0)
    static let trustedProxies = Setting("trusted.proxies", default: "")
    static let limitsUser = Setting(
        "limits.user", default: "create=120/60 change=120/60 read=1200/600 stream=600/300/50")
    static let limitsApplication = Setting("limits.application", default: "off")
    static let limitsAuth = Setting("limits.auth", default: 30)
    static let tlsCert = Setting("tls.cert", default: "")
    static let tlsKey = Setting("tls.key", default: "")
    static let opsHost = Setting("ops.host", default: "127.0.0.1")
    static let opsPort = Setting("ops.port", default: 0)
    static let maxPending = Setting("max.pending", default: 8192)
    static let maxPendingBytes = Setting("max.pending_bytes", default: 16 << 20)
    static let maxHeldBytes = Setting("max.held_bytes", default: 256 << 20)
    static let corsOrigin = Setting("cors.origin", default: "")
    static let allowedHosts = Setting("allowed.hosts", default: "")
    static let elasticsearchURL = Setting("elasticsearch.url", default: "")
    static let elasticsearchAPIKey = Setting("elasticsearch.api_key", default: "")
    static let elasticsearchIndex = Setting("elasticsearch.index", default: "luciq")
    static let adminKey = Setting("luciq.admin_key", default: "")
    static let openApplications = Setting("open.applications", default: "")
    static let tokenMaxLifetime = Setting("token.max_lifetime", default: 86_400)
    static let deleteAfterDays = Setting("delete.after_days", default: 30)
    static let editWindow = Setting("edit.window", default: 86_400)
    static let editHistoryDays = Setting("edit.history_days", default: 30)
    static let queues = Setting("queues", default: "default", flag: "--queue")
    static let concurrency = Setting("concurrency", default: 10)
    static let workerTag = Setting("worker.tag", default: "", flag: "--tag")
    static let workerHost = Setting("worker.host", default: "127.0.0.1", flag: "--host")
    static let workerPort = Setting("worker.port", default: 3010, flag: "--port")
    static let sidekiqFormat = Setting("sidekiq.format", default: 8)
    static let sidekiqCronFormat = Setting("sidekiq.cron_format", default: "auto")
    static let deadMaxJobs = Setting("dead.max_jobs", default: 10_000)
    static let deadDays = Setting("dead.days", default: 180)

    /// The keys that a settings file may have.
    static let keys: Set = [
        host.key, port.key, databaseURL.key, databasePool.key, databaseMaxAge.key, redisURL.key, dbHost.key,
        dbPort.key, dbUsername.key, dbPassword.key, dbName.key, logLevel.key, logFormat.key, shutdownTimeout.key,
        requestTimeout.key, idleTimeout.key, bodyTimeout.key, maxConnections.key, connectionsPerAddress.key,
        trustedProxies.key, limitsUser.key, limitsApplication.key, limitsAuth.key, tlsCert.key, tlsKey.key, opsHost.key,
        opsPort.key, maxPending.key, maxPendingBytes.key, maxHeldBytes.key,
        corsOrigin.key, allowedHosts.key, elasticsearchURL.key, elasticsearchAPIKey.key, elasticsearchIndex.key,
        adminKey.key, openApplications.key, tokenMaxLifetime.key, deleteAfterDays.key, editWindow.key,
        editHistoryDays.key, queues.key, concurrency.key,
        workerTag.key,
        workerHost.key,
        workerPort.key,
        sidekiqFormat.key, sidekiqCronFormat.key, deadMaxJobs.key, deadDays.key,
    ]

    /// The environment variable of a key.
    static func variable(of key: String) -> String { key.uppercased().replacing(".", with: "_") }
}
