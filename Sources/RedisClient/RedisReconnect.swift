import Logging
import Scheduling

extension RedisConnector {
    /// Keeps one connection up until the task is cancelled: connects, lets it be used, and when it is down does it again.
    ///
    /// - Parameters:
    ///   - down: called with the reason after each failure.
    ///   - use: gets each new connection, and returns when that is closed.
    func keepConnected(
        logger: Logger, down: (_ reason: String) -> Void, use: (RedisConnection) async -> Void
    ) async {
        var backoff = Backoff(first: .milliseconds(20), longest: .seconds(1))
        var logged: String?
        while !Task.isCancelled {
            do throws(RedisError) {
                let connection = try await connect()
                logger.info("Connected to Redis", metadata: ["redis": "\(configuration)"])
                logged = nil
                let start = ContinuousClock.now
                await use(connection)
                let reason = connection.closingReason ?? "closed"
                down(reason)
                if Task.isCancelled { return }
                logger.warning("The connection to Redis is lost", metadata: ["reason": "\(reason)"])
                // A connection that is lost at once does not count as a success.
                if .now - start > .seconds(1) { backoff.reset() }
            } catch {
                down(error.text)
                // Retried every second, logged once for each reason.
                if logged != error.text, !Task.isCancelled {
                    logger.warning("Cannot connect to Redis", metadata: ["reason": "\(error.text)"])
                    logged = error.text
                }
            }
            try? await Task.sleep(for: backoff.pause())  // Cut short by a shutdown.
        }
    }
}
