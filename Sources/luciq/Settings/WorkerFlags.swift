import ArgumentParser

/// What `luciq worker` can be told.
struct WorkerFlags: ParsableArguments {
    @Option(
        name: [.customLong("queue"), .customShort("q")],
        help: ArgumentHelp(
            """
            A queue, once for each. With weights they are asked at random, by weight; without, in this order. In the \
            environment, with blanks between. Default: default. Environment: QUEUES.
            """,
            valueName: "name[,weight]"))
    var queues: [String] = []

    @Option(name: .shortAndLong, help: "Jobs at the same time. Default: 10. Environment: CONCURRENCY.")
    var concurrency: String?

    @Option(help: "What it is called beside its host and pid. Default: none. Environment: WORKER_TAG.")
    var tag: String?

    @Option(help: "Address to listen on, for health and metrics. Default: 127.0.0.1. Environment: WORKER_HOST.")
    var host: String?

    @Option(help: "Its port; 0 for any free one. Default: 3010. Environment: WORKER_PORT.")
    var port: String?

    @Option(
        help: """
            1, 2 or auto: the version of sidekiq-cron that shares the Redis; auto tells it from its jobs. Default: auto. \
            Environment: SIDEKIQ_CRON_FORMAT.
            """)
    var sidekiqCronFormat: String?

    @OptionGroup var format: FormatFlags
    @OptionGroup var process: ProcessFlags

    var values: [String: String] {
        [
            Setup.queues.variable: queues.isEmpty ? nil : queues.joined(separator: " "),
            Setup.concurrency.variable: concurrency,
            Setup.workerTag.variable: tag,
            Setup.workerHost.variable: host,
            Setup.workerPort.variable: port,
            Setup.sidekiqCronFormat.variable: sidekiqCronFormat,
        ].compactMapValues(\.self).merging(format.values) { $1 }.merging(process.values) { $1 }
    }
}

/// Whose jobs they are; for every command that reads or writes jobs.
struct FormatFlags: ParsableArguments {
    @Option(
        help: "6, 7 or 8: the version of Sidekiq that shares the Redis. Default: 8. Environment: SIDEKIQ_FORMAT.")
    var sidekiqFormat: String?

    @Option(help: "Jobs that the dead set keeps at most. Default: 10000. Environment: DEAD_MAX_JOBS.")
    var deadMaxJobs: String?

    @Option(help: "Days that it keeps them. Default: 180. Environment: DEAD_DAYS.")
    var deadDays: String?

    var values: [String: String] {
        [
            Setup.sidekiqFormat.variable: sidekiqFormat, Setup.deadMaxJobs.variable: deadMaxJobs,
            Setup.deadDays.variable: deadDays,
        ].compactMapValues(\.self)
    }
}

/// Where the jobs are, and how they are written.
struct JobsFlags: ParsableArguments {
    @Option(help: "JSON file with settings. Environment: LUCIQ_CONFIG.")
    var config: String?

    @Option(
        help: ArgumentHelp(
            "The Redis that the jobs are in: redis://host:6379/0. Default: none. Environment: REDIS_URL.",
            valueName: "url"))
    var redisUrl: String?

    @OptionGroup var format: FormatFlags

    @Flag(help: "Print JSON.") var json = false

    var values: [String: String] {
        [Setup.redisURL.variable: redisUrl].compactMapValues(\.self).merging(format.values) { $1 }
    }
}
