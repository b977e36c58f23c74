import ArgumentParser

/// The flags of `luciq worker`.
struct WorkerFlags: ParsableArguments {
    @Option(
        name: [.customLong("queue"), .customShort("q")],
        help: ArgumentHelp(
            """
            A queue; repeat it for more. With weights, queues are polled at random, by weight; without, in this order. \
            In the environment, separate them by spaces. Default: default. Environment: QUEUES.
            """,
            valueName: "name[,weight]"))
    var queues: [String] = []

    @Option(name: .shortAndLong, help: "Concurrent jobs. Default: 10. Environment: CONCURRENCY.")
    var concurrency: String?

    @Option(help: "The worker's name beside its host and pid. Default: none. Environment: WORKER_TAG.")
    var tag: String?

    @Option(help: "Address to listen on, for health and metrics. Default: 127.0.0.1. Environment: WORKER_HOST.")
    var host: String?

    @Option(help: "Its port; 0 for any free one. Default: 3010. Environment: WORKER_PORT.")
    var port: String?

    @Option(
        help: """
            1, 2 or auto: the version of sidekiq-cron that shares the Redis; auto detects it. Default: auto. \
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

/// The flags of the jobs' format, for every command that reads or writes jobs.
struct FormatFlags: ParsableArguments {
    @Option(
        help: "6, 7 or 8: the version of Sidekiq that shares the Redis. Default: 8. Environment: SIDEKIQ_FORMAT.")
    var sidekiqFormat: String?

    @Option(help: "Most jobs in the dead set. Default: 10000. Environment: DEAD_MAX_JOBS.")
    var deadMaxJobs: String?

    @Option(help: "Days that the dead set keeps a job. Default: 180. Environment: DEAD_DAYS.")
    var deadDays: String?

    var values: [String: String] {
        [
            Setup.sidekiqFormat.variable: sidekiqFormat, Setup.deadMaxJobs.variable: deadMaxJobs,
            Setup.deadDays.variable: deadDays,
        ].compactMapValues(\.self)
    }
}

/// The flags of the jobs' Redis and format.
struct JobsFlags: ParsableArguments {
    @Option(help: "JSON file with settings. Environment: LUCIQ_CONFIG.")
    var config: String?

    @Option(
        help: ArgumentHelp(
            "The Redis of the jobs: redis://host:6379/0. Default: none. Environment: REDIS_URL.",
            valueName: "url"))
    var redisUrl: String?

    @OptionGroup var format: FormatFlags

    @Flag(help: "Print JSON.") var json = false

    var values: [String: String] {
        [Setup.redisURL.variable: redisUrl].compactMapValues(\.self).merging(format.values) { $1 }
    }
}
