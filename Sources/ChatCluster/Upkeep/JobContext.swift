import ChatCore
import Logging
import MySQLClient
import RedisClient

/// What the cluster's jobs share.
struct JobContext: Sendable {
    let store: MySQLStore
    let logger: Logger
    /// How long a number may be on its way before its place is made void.
    var grace = Duration.seconds(60)
    /// Called between the steps of every job. A test ends a run here as a kill would.
    var interruption: @Sendable () async throws -> Void = {}

    var redis: RedisClient { store.redis }

    /// Reads that may walk many rows.
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

    /// Several reads of one moment.
    func snapshot<Result: Sendable>(
        _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws -> Result {
        try await read { connection in
            try connection.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return try connection.transaction(body)
        }
    }

    /// Everything a job does may be done twice, so what may pass is tried again.
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

/// How long one run of a job may take. What is left then is the next run's.
struct Stint: Sendable {
    private let end: ContinuousClock.Instant
    private let interruption: @Sendable () async throws -> Void

    init(_ time: Duration, in context: JobContext) {
        self.end = .now + time
        self.interruption = context.interruption
    }

    /// Between two steps: a shutdown ends the run here, and the job is put back.
    ///
    /// - Throws: `CancellationError`.
    func step() async throws {
        try Task.checkCancellation()
        try await interruption()
    }

    /// Before the next chunk.
    ///
    /// - Returns: whether there is time for it.
    /// - Throws: `CancellationError`.
    func goesOn() async throws -> Bool {
        try await step()
        return .now < end
    }
}
