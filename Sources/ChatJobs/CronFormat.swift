/// The version of sidekiq-cron's format in Redis. It does not follow from Sidekiq's version: 1.12 runs on Sidekiq 6 and
/// 7, and 2.x on 6.5 and later.
package enum CronFormat: String, Sendable, CaseIterable {
    case v1 = "1"
    case v2 = "2"

    /// SET of the hashes.
    package var set: String { self == .v1 ? "cron_jobs" : "cron_jobs:default" }

    /// HASH of one job.
    package func key(_ name: String) -> String {
        self == .v1 ? "cron_job:\(name)" : "cron_job:default:\(name)"
    }

    var other: CronFormat { self == .v1 ? .v2 : .v1 }

    /// The version that Ruby uses, detected from the jobs in Redis.
    ///
    /// Foreign jobs decide, if all are of one version. Else, our jobs under version 2's keys only decide for version 2:
    /// when a Ruby process with version 2 starts, it takes over the jobs under version 1's keys (but leaves the
    /// hashes). Else Sidekiq's version decides.
    ///
    /// - Parameters:
    ///   - members: the members of each set.
    ///   - ours: the names of our jobs.
    static func detect(_ members: (v1: [String], v2: [String]), ours: [String], sidekiq: SidekiqFormat) -> CronFormat {
        func whose(_ format: CronFormat, _ members: [String]) -> (ours: Bool, others: Bool) {
            let known = Set(ours.map { Array(format.key($0).utf8) })
            let isOurs = Set(members.map { known.contains(Array($0.utf8)) })
            return (isOurs.contains(true), isOurs.contains(false))
        }
        let (v1, v2) = (whose(.v1, members.v1), whose(.v2, members.v2))
        if v1.others != v2.others { return v1.others ? .v1 : .v2 }
        return sidekiq == .v6 && (v1.ours || !v2.ours) ? .v1 : .v2
    }
}
