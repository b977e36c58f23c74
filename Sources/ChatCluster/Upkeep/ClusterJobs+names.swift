package import ChatJobs

extension ClusterJobs {
    private static let types: [any Job.Type] = [
        SyncCounts.self, Reconcile.self, Recount.self, ExpireIdempotencyKeys.self, TrimStatistics.self,
    ]

    /// The jobs' names, for callers that only enqueue and have no database.
    package static let names = types.map { $0.name }

    /// - Parameter job: a name or an alias.
    /// - Returns: nil if there is no such job.
    package static func options(of job: String) -> JobOptions? {
        types.first { $0.name == job || $0.aliases.contains(job) }?.options
    }
}
