import ArgumentParser
import ChatCluster
import ChatCore
import ChatJobs
import Foundation

extension Jobs {
    struct Enqueue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a job into its queue, now or later.",
            discussion: "It prints the job's id, which the other commands take.")

        @OptionGroup var flags: JobsFlags
        @Argument(help: "The job's class, such as SyncChatCounts. luciq jobs list has those of luciq.")
        var name: String
        @Argument(help: "What it is given: a JSON array.") var arguments = "[]"
        @Option(help: "How long from now it waits: 90s, 5m, 2h, 1d.") var `in`: String?
        @Option(help: "When it starts, not before: 2026-11-22T16:57:44Z.") var at: String?
        @Option(help: "Another queue than the one that the workers of luciq serve. Environment: QUEUES.") var queue:
            String?
        @Flag(help: "Take any class: one that only another system's worker knows.") var unknown = false

        func run() async throws {
            try checkTime()
            let options = try options()
            guard (try? JSONSerialization.jsonObject(with: Data(arguments.utf8))) is [Any] else {
                throw ExitStatus.usage(
                    "The arguments must be one JSON array, such as '[1, \"two\"]', not \(arguments).")
            }
            try await flags.withJobs { jobs in
                var queue = queue
                if queue == nil, !isForeign { queue = try await jobs.servedQueue() }
                let jid = try await jobs.queue.enqueue(
                    named: name, arguments: JobQueue.compact(arguments), options: options, queue: queue,
                    at: time(jobs.clock.now()))
                guard let jid else { throw ExitStatus.absent("An equal job is in the queue already.") }
                if flags.json { return try printJSON(["jid": jid]) }
                print(jid)
            }
        }

        /// Checked before Redis is asked for the time.
        private func checkTime() throws { _ = try time(WallClock.system.now()) }

        private func time(_ now: Timestamp) throws -> Timestamp? {
            switch (self.in, at) {
            case (nil, nil): return nil
            case (let text?, nil):
                guard let period = Moment.period(text) else {
                    throw ExitStatus.usage("--in must be a number and s, m, h or d, such as 5m, not \(text).")
                }
                return now.adding(period)
            case (nil, let text?):
                guard let time = Timestamp(rfc3339: text) else {
                    throw ExitStatus.usage("--at must be a time such as 2026-11-22T16:57:44Z, not \(text).")
                }
                return time
            default:
                throw ExitStatus.usage("--in and --at do not go together.")
            }
        }

        /// Whether the job is unknown to this program: only another system's worker has it.
        private var isForeign: Bool { ClusterJobs.options(of: name) == nil }

        /// The options of a known job.
        private func options() throws -> JobOptions {
            if let options = ClusterJobs.options(of: name) { return options }
            guard unknown else {
                throw ExitStatus.absent(
                    "There is no job \(name) here, only \(ClusterJobs.names.joined(separator: ", ")). "
                        + "For one that another system's worker knows, add --unknown.")
            }
            return JobOptions()
        }
    }
}

extension JobsInRedis {
    /// The queue from which a worker of this deployment takes our jobs: the first of QUEUES; else the first queue of a
    /// live worker; else the queue that the last worker gave to cron jobs; else nil.
    fileprivate func servedQueue() async throws -> String? {
        if let configuredQueue { return configuredQueue }
        let workers = try await sets.processes().filter { $0.isOurs && !$0.queues.isEmpty }
        if let worker = workers.first(where: { !$0.isQuiet }) ?? workers.first { return worker.queues[0] }
        return try await CronReport.all(redis: redis, clock: clock).first { ClusterJobs.names.contains($0.job) }?.queue
    }
}
