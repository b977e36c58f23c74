import ChatHTTP
import ChatJobs
import RedisClient

extension Settings {
    func workerConfiguration() throws -> WorkerConfiguration {
        var configuration = WorkerConfiguration()
        configuration.queues = try queues()
        configuration.concurrency = try number(Setup.concurrency, in: 1...1000)
        configuration.shutdownTimeout = try seconds(Setup.shutdownTimeout)
        configuration.format = try sidekiqFormat()
        configuration.dead = try deadLimits()
        configuration.tag = try text(Setup.workerTag)
        return configuration
    }

    /// A worker's listener for probes and Prometheus, which need few connections.
    func healthOptions() throws -> HTTPOptions {
        var options = HTTPOptions()
        options.host = try address(Setup.workerHost)
        options.port = try number(Setup.workerPort, in: 0...65_535)
        options.maxConnections = 256
        return options
    }

    func sidekiqFormat() throws -> SidekiqFormat {
        SidekiqFormat(rawValue: String(try number(Setup.sidekiqFormat, in: 6...8))) ?? .v8
    }

    /// Nil: detect it from Redis.
    func sidekiqCronFormat() throws -> CronFormat? {
        CronFormat(
            rawValue: try choice(Setup.sidekiqCronFormat, of: ["auto"] + CronFormat.allCases.map(\.rawValue)))
    }

    func deadLimits() throws -> DeadLimits {
        var limits = DeadLimits()
        limits.count = try number(Setup.deadMaxJobs, in: 0...100_000_000)
        limits.age = .seconds(try number(Setup.deadDays, in: 1...36_500) * 86_400)
        return limits
    }

    /// The default queue of `luciq jobs enqueue`; nil if none is set.
    func firstQueue() throws -> String? { try isSet(Setup.queues) ? queues()[0].name : nil }

    private func queues() throws -> [WorkerConfiguration.Queue] {
        let queues = try text(Setup.queues).split(whereSeparator: \.isWhitespace).map { text in
            do throws(WorkerConfiguration.Invalid) {
                return try WorkerConfiguration.Queue(parsing: String(text))
            } catch {
                throw Invalid(description: "QUEUES: \(error.description).")
            }
        }
        guard !queues.isEmpty else { throw Invalid(description: "QUEUES must name a queue.") }
        if let twice = Dictionary(grouping: queues, by: { Array($0.name.utf8) }).first(where: { $1.count > 1 })?.value[
            0
        ].name {
            throw Invalid(
                description:
                    "QUEUES names \(twice) twice; to take more of its jobs, give it a weight: \(twice),2.")
        }
        return queues
    }
}
