import Logging
import RedisClient
import Synchronization

/// Says once that Redis is away, and once that it is back.
final class Outage: Sendable {
    private let logger: Logger
    private let isOngoing = Atomic(false)

    init(logger: Logger) { self.logger = logger }

    func begins(_ error: RedisError) {
        guard !isOngoing.exchange(true, ordering: .relaxed) else { return }
        logger.warning("Jobs wait, as Redis does not do its part", metadata: ["error": "\(error)"])
    }

    func isOver() {
        guard isOngoing.load(ordering: .relaxed), isOngoing.exchange(false, ordering: .relaxed) else { return }
        logger.info("Jobs go on: Redis is back")
    }
}
