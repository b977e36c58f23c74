import ChatCore
import Logging
import MySQLClient
import RedisClient

/// The shared dependencies of the cluster's jobs.
struct JobContext: Sendable {
    let store: MySQLStore
    let logger: Logger
    /// How long a number may be missing before it is made void.
    var grace = Duration.seconds(60)
    /// Called between the steps of every job. Tests end a run here, as a kill would.
    var interruption: @Sendable () async throws -> Void = {}

    var redis: RedisClient { store.redis }

    /// Runs reads that may scan many rows.
    func read<Result: Sendable>(
        _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        try await run(store.scans, body)
    }

    func write<Result: Sendable>(
        _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        try await run(store.writes, body)
    }

    /// Runs several reads in one snapshot.
    func snapshot<Result: Sendable>(
        _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        try await read { connection in try connection.snapshot(body) }
    }

    /// Retries transient errors: every step of a job is idempotent.
    private func run<Result: Sendable>(
        _ pool: MySQLPool, _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        var retry = Retry(patience: .seconds(10))
        while true {
            do throws(MySQLError) {
                return try await pool.run(within: retry.remaining, body)
            } catch {
                try Task.checkCancellation()
                guard await retry.mayGoOn(after: error) else { throw error }
            }
        }
    }
}

/// The time budget of one run of a job. The next run does the rest.
struct Stint: Sendable {
    private let end: ContinuousClock.Instant
    private let interruption: @Sendable () async throws -> Void

    init(_ time: Duration, in context: JobContext) {
        self.end = .now + time
        self.interruption = context.interruption
    }

    /// Call it between two steps: a shutdown ends the run here, and the job goes back to its queue.
    ///
    /// - Throws: `CancellationError`.
    func step() async throws {
        try Task.checkCancellation()
        try await interruption()
    }

    /// Call it before the next chunk.
    ///
    /// - Returns: whether there is time left.
    /// - Throws: `CancellationError`.
    func goesOn() async throws -> Bool {
        try await step()
        return .now < end
    }
}
