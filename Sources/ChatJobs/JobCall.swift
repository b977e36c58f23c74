import ChatCore

/// The job that a payload names, and its arguments.
struct JobCall {
    let job: String
    /// A JSON array.
    let arguments: ArraySlice<UInt8>

    /// ActiveJob's wrapper classes, from Sidekiq 8 on and before. The actual job is their only argument.
    private static let wrappers = [
        "Sidekiq::ActiveJob::Wrapper", "ActiveJob::QueueAdapters::SidekiqAdapter::JobWrapper",
    ]

    /// - Throws: `JobPayload.Malformed` for a payload that cannot be a job.
    init(_ payload: JobPayload) throws(JobPayload.Malformed) {
        guard let job = payload.job else { throw JobPayload.Malformed(description: "the job has no class") }
        guard let arguments = payload.raw("args"), arguments.first == UInt8(ascii: "[") else {
            throw JobPayload.Malformed(description: "the job has no array of arguments")
        }
        if Self.wrappers.contains(where: job.isSame), let inner = Self.inner(arguments) {
            self = inner
        } else {
            (self.job, self.arguments) = (job, arguments)
        }
    }

    private init(job: String, arguments: ArraySlice<UInt8>) {
        self.job = job
        self.arguments = arguments
    }

    private static func inner(_ arguments: ArraySlice<UInt8>) -> JobCall? {
        let first = arguments.dropFirst().dropLast().drop { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
        guard let inner = try? JobPayload(Array(first)),  // A wrapper has exactly one element.
            let job = inner.string("job_class"), let arguments = inner.raw("arguments"),
            arguments.first == UInt8(ascii: "[")
        else { return nil }
        return JobCall(job: job, arguments: arguments)
    }
}
