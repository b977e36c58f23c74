package import ChatJobs

extension ClusterJobs {
    private static let types: [any Job.Type] = [
        SyncCounts.self, Reconcile.self, Recount.self, ExpireIdempotencyKeys.self, TrimStatistics.self,
    ]

    /// Known without a database, for what only enqueues.
    package static let names = types.map { $0.name }

    /// - Parameter job: a name or an alias.
    /// - Returns: nil where there is no such job.
    package static func options(of job: String) -> JobOptions? {
        types.first { $0.name == job || $0.aliases.contains(job) }?.options
    }
}
