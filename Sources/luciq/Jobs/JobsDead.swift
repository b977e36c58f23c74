import ArgumentParser
import ChatCore
import ChatJobs

extension Jobs {
    struct Dead: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "List the jobs that were given up, the last first; run one again, or forget one or all.")

        @OptionGroup var flags: JobsFlags
        @Option(help: ArgumentHelp("Run this one again.", valueName: "jid")) var retry: String?
        @Option(help: ArgumentHelp("Forget this one.", valueName: "jid")) var remove: String?
        @Flag(help: "Forget them all.") var clear = false
        @Option(help: "How many to list at most.") var limit = 50

        func run() async throws {
            guard [retry != nil, remove != nil, clear].count(where: \.self) <= 1 else {
                throw ExitStatus.usage("Only one of --retry, --remove and --clear can be given.")
            }
            guard (1...10_000).contains(limit) else {
                throw ExitStatus.usage("--limit must be a number from 1 to 10000.")
            }
            try await flags.withJobs { jobs in
                if let retry { return try await requeue(retry, jobs.sets) }
                if let remove { return try await forget(remove, jobs.sets) }
                if clear {
                    let count = try await jobs.sets.size(of: .dead)
                    try await jobs.sets.clear(.dead)
                    return try flags.tell("forgotten", count, "Dead jobs forgotten: \(count).")
                }
                let entries = try await jobs.sets.list(.dead, limit: limit)
                if flags.json { return try printJSON(entries.map(DeadJob.init)) }
                try await show(entries, of: jobs.sets.size(of: .dead), now: jobs.clock.now())
            }
        }

        private func requeue(_ jid: String, _ sets: JobSets) async throws {
            guard let entry = try await sets.find(jid, in: .dead), try await sets.requeue(entry)
            else {
                throw ExitStatus.absent("No job \(jid) is among the dead.")
            }
            try flags.tell("requeued", 1, "\(entry.job) \(jid) is in the queue \(entry.queue) again.")
        }

        private func forget(_ jid: String, _ sets: JobSets) async throws {
            guard let entry = try await sets.find(jid, in: .dead), try await sets.delete(entry) else {
                throw ExitStatus.absent("No job \(jid) is among the dead.")
            }
            try flags.tell("forgotten", 1, "\(entry.job) \(jid) is forgotten.")
        }

        private func show(_ entries: [JobSets.Entry], of count: Int, now: Timestamp) {
            if entries.isEmpty { return print("No job is dead.") }
            var table = Table("JID", "DIED", "JOB", "QUEUE", "ARGUMENTS", "ERROR")
            for entry in entries {
                let error = [entry.errorClass, entry.errorMessage].compactMap(\.self).joined(
                    separator: ": ")
                table.add(
                    entry.id, "\(Moment.shown(now - entry.at)) ago", entry.job, entry.queue,
                    entry.arguments,
                    error)
            }
            print(table.text())
            if entries.count < count { print("and \(count - entries.count) more") }
        }
    }

    private struct DeadJob: Encodable {
        /// The id for `--retry` and `--remove`; derived from the entry's bytes if it has none.
        let jid: String
        let diedAt: String
        let job: String
        let queue: String
        /// A JSON array as text: its numbers stay as they are.
        let arguments: String
        let errorClass: String?
        let errorMessage: String?

        init(_ entry: JobSets.Entry) {
            self.jid = entry.id
            self.diedAt = entry.at.rfc3339
            self.job = entry.job
            self.queue = entry.queue
            self.arguments = entry.arguments
            self.errorClass = entry.errorClass
            self.errorMessage = entry.errorMessage
        }
    }
}
