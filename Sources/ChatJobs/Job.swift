/// A kind of background work. Its value has its dependencies (stores, clients), and is registered once in a worker.
///
/// A job runs at least once: it may run twice, even at the same time. So performing must be safe to repeat.
package protocol Job: Sendable {
    /// Sidekiq's `args`: encoded as an array, or as the only element of one.
    associatedtype Arguments: Codable & Sendable = NoArguments

    /// Its `class` in Redis.
    static var name: String { get }
    /// Other names of the job: the Rails application's classes.
    static var aliases: [String] { get }
    static var options: JobOptions { get }

    /// - Throws: any error; the job is then retried by its options.
    func perform(_ arguments: Arguments) async throws
}

extension Job {
    package static var aliases: [String] { [] }
    package static var options: JobOptions { JobOptions() }
}

/// An empty list.
package struct NoArguments: Codable, Sendable {
    package init() {}

    package init(from decoder: any Decoder) throws {}

    package func encode(to encoder: any Encoder) throws { _ = encoder.unkeyedContainer() }
}

/// Any arguments, unread: for jobs that other systems enqueue with arguments that mean nothing here.
package struct IgnoredArguments: Codable, Sendable {
    package init() {}

    package init(from decoder: any Decoder) throws {}

    package func encode(to encoder: any Encoder) throws { _ = encoder.unkeyedContainer() }
}

/// The defaults of an enqueued job.
package struct JobOptions: Sendable {
    package var queue = "default"
    /// The number of retries, as in Sidekiq; 0 sends it to the dead set at once.
    package var retries = 25
    /// How long after its first failure it is retried; nil: `retries` times.
    package var retryFor: Duration?

    package init() {}
}
