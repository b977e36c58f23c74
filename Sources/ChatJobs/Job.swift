/// A kind of background work. A value of it holds what it needs (stores, clients) and is registered once in a worker.
///
/// A job may run twice, and two of them at the same time; never not at all. So performing must be safe to repeat.
package protocol Job: Sendable {
    /// What Sidekiq calls `args`: encodes as an array, or as the only element of one.
    associatedtype Arguments: Codable & Sendable = NoArguments

    /// Its `class` in Redis.
    static var name: String { get }
    /// Other names under which it is known: the Rails application's classes.
    static var aliases: [String] { get }
    static var options: JobOptions { get }

    /// - Throws: anything; the job is then retried as its options say.
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

/// Whatever there is, unread: for a job that clients of another system enqueue with arguments that mean nothing here.
package struct IgnoredArguments: Codable, Sendable {
    package init() {}

    package init(from decoder: any Decoder) throws {}

    package func encode(to encoder: any Encoder) throws { _ = encoder.unkeyedContainer() }
}

/// The defaults of an enqueued job.
package struct JobOptions: Sendable {
    package var queue = "default"
    /// How often it is tried again, as Sidekiq does it; 0 sends it to the dead set at once.
    package var retries = 25
    /// For how long after its first failure it is tried again; nil: for `retries` tries.
    package var retryFor: Duration?

    package init() {}
}
