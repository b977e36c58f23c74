import Logging
import ServiceLifecycle

/// Deletes what edits have replaced, when its time is up: a minute after the start, and every hour.
struct VersionUpkeep: Service {
    private static let (first, interval) = (Duration.seconds(60), Duration.seconds(3600))
    /// Of one transaction, so that none holds up edits; and the pause between two.
    private static let (limit, pause) = (500, Duration.milliseconds(200))

    let changes: any MessageChanges
    let rules: EditRules
    let time: Timekeeper
    let clock: WallClock
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var wait = Self.first
            while (try? await time.sleep(time.now() + wait)) != nil, !Task.isCancelled {
                do {
                    let isMore = try await changes.expireVersions(by: rules, at: clock.now(), limit: Self.limit)
                    wait = isMore ? Self.pause : Self.interval
                } catch {
                    logger.warning("Old versions of messages not deleted", metadata: ["error": ChatError.forLog(error)])
                    wait = Self.interval
                }
            }
        }
    }
}
