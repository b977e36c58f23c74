import ArgumentParser
import ChatCore
import ChatJobs

extension Jobs {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the jobs that the clock starts, when they ran and when they will.")

        @OptionGroup var flags: JobsFlags

        func run() async throws {
            try await flags.withJobs { jobs in
                let reports = try await CronReport.all(redis: jobs.redis, clock: jobs.clock)
                if flags.json {
                    try printJSON(reports.map(ClockedJob.init))
                } else {
                    show(reports, now: jobs.clock.now())
                }
            }
        }

        private func show(_ reports: [CronReport], now: Timestamp) {
            guard !reports.isEmpty else {
                return print("The clock starts no job yet: the first luciq worker that runs says which.")
            }
            var table = Table("JOB", "CRON (UTC)", "QUEUE", "STATUS", "LAST RUN", "NEXT RUN")
            for report in reports {
                table.add(
                    report.job, report.expression, report.queue, report.status,
                    report.lastRun.map { "\(Moment.shown(now - $0)) ago" } ?? "-",
                    report.nextRun.map { "in \(Moment.shown($0 - now))" } ?? "-")
            }
            print(table.text())
            for report in reports {
                if let problem = report.problem { print("\(report.name) never runs: \(problem)".printable) }
            }
        }
    }

    private struct ClockedJob: Encodable {
        let name: String
        let job: String
        let cron: String
        let queue: String
        let status: String
        let description: String
        let lastRun: String?
        let nextRun: String?
        let problem: String?

        init(_ report: CronReport) {
            self.name = report.name
            self.job = report.job
            self.cron = report.expression
            self.queue = report.queue
            self.status = report.status
            self.description = report.description
            self.lastRun = report.lastRun?.rfc3339
            self.nextRun = report.nextRun?.rfc3339
            self.problem = report.problem
        }
    }
}

extension CronReport {
    fileprivate var status: String {
        if problem != nil { return "cannot run" }
        return isEnabled ? "enabled" : "disabled"
    }
}
