import ArgumentParser
import ChatCore
import ChatJobs

extension Jobs {
    struct Stats: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Count jobs, and say which queues and workers there are and what is being done.")

        @OptionGroup var flags: JobsFlags

        func run() async throws {
            try await flags.withJobs { jobs in
                let look = try await JobsLook(jobs.sets)
                if flags.json { try printJSON(look) } else { look.show(now: jobs.clock.now()) }
            }
        }
    }
}

/// The report of `luciq jobs stats`; each part is from one moment.
private struct JobsLook {
    let statistics: JobStatistics
    let queues: [QueueReport]
    let processes: [ProcessReport]
    let work: [WorkReport]

    init(_ sets: JobSets) async throws {
        statistics = try await sets.statistics()
        queues = try await sets.queues()
        processes = try await sets.processes()
        work = try await sets.work()
    }

    func show(now: Timestamp) {
        print(
            """
            processed: \(statistics.processed)
            failed:    \(statistics.failed)
            enqueued:  \(statistics.enqueued)
            scheduled: \(statistics.scheduled)
            retries:   \(statistics.retries)
            dead:      \(statistics.dead)

            """)
        var table = Table("QUEUE", "JOBS", "LATENCY")
        for queue in queues { table.add(queue.name, "\(queue.size)", Moment.shown(queue.latency)) }
        print(queues.isEmpty ? "There is no queue.\n" : table.text() + "\n")
        table = Table("WORKER", "TAG", "QUEUES", "BUSY", "UP", "MEMORY", "")
        for process in processes {
            table.add(
                process.identity, process.tag, process.queues.joined(separator: " "),
                "\(process.busy) of \(process.concurrency)",
                process.startedAt.map { Moment.shown(now - $0) } ?? "-",
                "\(process.residentKilobytes / 1024) MiB", process.isQuiet ? "quiet" : "")
        }
        print(processes.isEmpty ? "There is no worker." : table.text())
        guard !work.isEmpty else { return }
        table = Table("DOES", "JID", "QUEUE", "FOR", "WORKER")
        for work in work {
            table.add(work.job, work.jid, work.queue, Moment.shown(now - work.since), work.identity)
        }
        print("\n" + table.text())
    }
}

extension JobsLook: Encodable {
    private struct Queue: Encodable {
        let name: String
        let size: Int
        /// Seconds that the oldest job has waited.
        let latency: Double
    }

    private struct Process: Encodable {
        let identity: String
        let tag: String
        let queues: [String]
        let concurrency: Int
        let busy: Int
        let isQuiet: Bool
        let startedAt: String?
        /// The time of its last heartbeat.
        let beat: String?
        let residentKilobytes: Int
        let roundTripMicroseconds: Int
    }

    private struct Work: Encodable {
        let process: String
        let job: String
        let jid: String
        let queue: String
        let since: String
    }

    private enum Key: CodingKey {
        case processed, failed, enqueued, scheduled, retries, dead, queues, processes, work
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(statistics.processed, forKey: .processed)
        try container.encode(statistics.failed, forKey: .failed)
        try container.encode(statistics.enqueued, forKey: .enqueued)
        try container.encode(statistics.scheduled, forKey: .scheduled)
        try container.encode(statistics.retries, forKey: .retries)
        try container.encode(statistics.dead, forKey: .dead)
        try container.encode(
            queues.map { Queue(name: $0.name, size: $0.size, latency: $0.latency / .seconds(1)) },
            forKey: .queues)
        try container.encode(
            processes.map {
                Process(
                    identity: $0.identity, tag: $0.tag, queues: $0.queues, concurrency: $0.concurrency,
                    busy: $0.busy,
                    isQuiet: $0.isQuiet, startedAt: $0.startedAt?.rfc3339, beat: $0.beat?.rfc3339,
                    residentKilobytes: $0.residentKilobytes, roundTripMicroseconds: $0.roundTripMicroseconds)
            }, forKey: .processes)
        try container.encode(
            work.map {
                Work(
                    process: $0.identity, job: $0.job, jid: $0.jid, queue: $0.queue, since: $0.since.rfc3339)
            }, forKey: .work)
    }
}
