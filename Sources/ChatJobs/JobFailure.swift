import ChatCore

/// Decides what happens to a failed job, like Sidekiq's `job_retry.rb`.
struct JobFailure: Sendable {
    enum Fate: Equatable {
        case retry(at: Timestamp)
        case dead
        case dropped
    }

    /// The number of retries of a job without one: `retry: true`.
    static let defaultRetries: Int64 = 25
    static let longestMessage = 10_000

    let fate: Fate
    /// The payload to store.
    let payload: [UInt8]

    /// - Parameters:
    ///   - queue: the queue it came from.
    ///   - options: the job's options, if it is known.
    ///   - jitter: random, from 0 to 1.
    init(
        of job: JobPayload, in queue: String, error: any Error, options: JobOptions?, format: SidekiqFormat,
        now: Timestamp, jitter: Double
    ) {
        var job = job
        job.set("queue", string: job.string("retry_queue") ?? queue)
        let name = Self.describe(error, in: &job)
        // A count that is not a number counts as missing.
        var count: Int64 = 0
        let firstFailure = job.time("failed_at")
        if let before = job.integer("retry_count") {
            count = min(before, 1_000_000) + 1
            job.set("retried_at", raw: format.timestamp(now))
        } else {
            job.set("failed_at", raw: format.timestamp(now))
        }
        job.set("retry_count", raw: String(count))
        if let lines = Self.backtraceLines(job) {
            job.set(
                "error_backtrace",
                string: Backtrace.encode(Array(["\(name): \(String(reflecting: error))"].prefix(lines))))
        }
        payload = job.bytes
        let isOver =
            if let retryFor = job.number("retry_for") {
                (firstFailure ?? now).seconds + retryFor < now.seconds
            } else {
                count >= job.integer("retry") ?? options.map { Int64($0.retries) } ?? Self.defaultRetries
            }
        if job.bool("retry") == false {
            fate = .dropped
        } else if !isOver {
            fate = .retry(at: now.adding(Self.delay(count, jitter: jitter, format: format)))
        } else {
            fate = job.bool("dead") == false ? .dropped : .dead
        }
    }

    /// count⁴ + 15 s, and up to 10 s more for each attempt so far.
    static func delay(_ count: Int64, jitter: Double, format: SidekiqFormat) -> Duration {
        let count = Double(min(max(count, 0), 1000))
        let spread = 10 * (count + 1)
        let more = format == .v8 ? (jitter * spread).rounded(.down) : (jitter * 10).rounded(.down) * (count + 1)
        return .seconds(count * count * count * count + 15 + min(more, spread))
    }

    /// Writes the error into a payload.
    ///
    /// - Returns: its class.
    @discardableResult
    static func describe(_ error: any Error, in job: inout JobPayload) -> String {
        let name = (error as? UnknownJob)?.errorClass ?? "\(type(of: error))"
        job.set("error_message", string: message(error, longest: longestMessage))
        job.set("error_class", string: name)
        return name
    }

    /// - Parameter longest: in Unicode's scalars, as Ruby counts. A character may be of any length.
    static func message(_ error: any Error, longest: Int) -> String {
        String("\(error)".unicodeScalars.prefix(longest))
    }

    /// The number of wanted backtrace lines; nil for none.
    private static func backtraceLines(_ job: JobPayload) -> Int? {
        if job.bool("backtrace") == true { return .max }
        return job.integer("backtrace").flatMap { $0 > 0 ? Int($0) : nil }
    }
}

/// No job of this name is registered.
struct UnknownJob: Error, CustomStringConvertible {
    let name: String

    /// Ruby's class for the error.
    var errorClass: String { "NameError" }

    var description: String { "uninitialized constant \(name): no job of this name is known here" }
}

/// The job has killed several workers.
struct Poisonous: Error, CustomStringConvertible {
    let deaths: Int

    var description: String { "its process died while it ran, \(deaths) times" }
}
