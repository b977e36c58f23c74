/// The jobs of a worker.
package struct JobRegistry: Sendable {
    /// One job, with its type erased.
    struct Registered: Sendable {
        let name: String
        let options: JobOptions
        /// Throws the job's errors, or `WrongArguments`.
        let perform: @Sendable (_ arguments: ArraySlice<UInt8>) async throws -> Void
    }

    /// The jobs by the bytes of their names.
    private let jobs: [[UInt8]: Registered]

    /// - Parameter jobs: with different names.
    package init(_ jobs: [any Job]) {
        var known: [[UInt8]: Registered] = [:]
        for job in jobs {
            let registered = Self.register(job)
            for name in [type(of: job).name] + type(of: job).aliases {
                precondition(
                    known.updateValue(registered, forKey: Array(name.utf8)) == nil, "two jobs are called \(name)")
            }
        }
        self.jobs = known
    }

    /// The names, sorted, without aliases.
    package var names: [String] { Set(jobs.values.map(\.name)).sorted() }

    /// - Parameter name: a name or an alias.
    package func contains(_ name: String) -> Bool { self[name] != nil }

    package func options(of name: String) -> JobOptions? { self[name]?.options }

    subscript(name: String) -> Registered? { jobs[Array(name.utf8)] }

    private static func register<J: Job>(_ job: J) -> Registered {
        let reader = JobArguments<J>()
        return Registered(name: J.name, options: J.options) { arguments in
            try await job.perform(reader.decode(arguments))
        }
    }
}
