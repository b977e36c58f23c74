import ArgumentParser
import ChatJobs

extension Jobs {
    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run jobs that failed now, instead of when their time has come.",
            discussion: "For jobs that were given up, there is luciq jobs dead --retry.")

        @OptionGroup var flags: JobsFlags
        @Argument(help: "The job's id.") var jid: String?
        @Flag(help: "All that wait to be tried again.") var all = false

        func run() async throws {
            guard all == (jid == nil) else { throw ExitStatus.usage("Say which job: its id, or --all.") }
            try await flags.withJobs { jobs in
                guard let jid else {
                    let count = try await jobs.sets.requeueAll(.retry)
                    return try flags.tell("requeued", count, "Jobs requeued: \(count).")
                }
                guard let entry = try await jobs.sets.find(jid, in: .retry),
                    try await jobs.sets.requeue(entry)
                else { throw ExitStatus.absent("No job \(jid) waits to be tried again.") }
                try flags.tell("requeued", 1, "\(entry.job) \(jid) is in the queue \(entry.queue) again.")
            }
        }
    }

    struct Kill: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Give up a job that waits to be tried again, or for its time: it goes to the dead ones.")

        @OptionGroup var flags: JobsFlags
        @Argument(help: "The job's id.") var jid: String

        func run() async throws {
            try await flags.withJobs { jobs in
                for kind in [JobSets.Kind.retry, .schedule] {
                    if let entry = try await jobs.sets.find(jid, in: kind),
                        try await jobs.sets.kill(entry)
                    {
                        return try flags.tell("killed", 1, "\(entry.job) \(jid) is dead.")
                    }
                }
                throw ExitStatus.absent("No job \(jid) waits to be tried again or for its time.")
            }
        }
    }
}

extension JobSets {
    /// - Returns: how many jobs went back to their queues. Jobs that arrive meanwhile are left.
    func requeueAll(_ kind: Kind) async throws -> Int {
        var left = try await size(of: kind)
        var count = 0
        while left > 0 {
            let entries = try await list(kind, limit: min(left, 100))
            if entries.isEmpty { break }
            for entry in entries where try await requeue(entry) { count += 1 }
            left -= entries.count
        }
        return count
    }
}

extension JobsFlags {
    /// Prints the result, as JSON or as a sentence.
    func tell(_ what: String, _ count: Int, _ sentence: String) throws {
        if json { try printJSON([what: count]) } else { print(sentence.printable) }
    }
}
