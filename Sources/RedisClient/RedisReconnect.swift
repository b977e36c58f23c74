import Logging

/// How long to wait before the next try: from 20 ms doubled up to 1 s, with jitter, so that many clients of a server
/// that comes back do not come at the same moment.
struct RedisBackoff {
    private var step = Duration.milliseconds(20)

    /// Starts over, as a connection has held.
    mutating func reset() { step = .milliseconds(20) }

    mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        defer { step = min(step * 2, .seconds(1)) }
        return step * Double.random(in: 0.5...1, using: &generator)
    }
}

extension RedisConnector {
    /// Keeps one connection up until the task is cancelled: connects, lets it be used, and when it is down does it again.
    ///
    /// - Parameters:
    ///   - down: called with the reason after each failure.
    ///   - use: gets each new connection, and returns when that is closed.
    func keepConnected(
        logger: Logger, down: (_ reason: String) -> Void, use: (RedisConnection) async -> Void
    ) async {
        var backoff = RedisBackoff()
        var generator = SystemRandomNumberGenerator()
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
            try? await Task.sleep(for: backoff.next(using: &generator))  // Cut short by a shutdown.
        }
    }
}
