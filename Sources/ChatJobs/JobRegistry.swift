/// The jobs that a worker knows.
package struct JobRegistry: Sendable {
    /// One of them, its type forgotten.
    struct Registered: Sendable {
        let name: String
        let options: JobOptions
        /// Throws what the job throws, or `WrongArguments`.
        let perform: @Sendable (_ arguments: ArraySlice<UInt8>) async throws -> Void
    }

    /// By the bytes of their names.
    private let jobs: [[UInt8]: Registered]

    /// - Parameter jobs: no two of one name.
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

    /// Sorted, without the aliases.
    package var names: [String] { Set(jobs.values.map(\.name)).sorted() }

    /// - Parameter name: or an alias.
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
