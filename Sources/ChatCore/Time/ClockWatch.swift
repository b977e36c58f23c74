package import Logging
import ServiceLifecycle

/// Logs jumps of the system's clock, set by hand or by NTP: rows get wrong times meanwhile.
///
/// Correctness does not depend on it: waits use a clock that cannot be set, and deletions use two clocks
/// (docs/decisions/0015-clocks.md).
package struct ClockWatch: Service {
    /// NTP corrects more than 0.128 s by a jump; scheduling may delay a reading by a part of this.
    static let tolerance = Duration.seconds(2)
    static let interval = Duration.seconds(1)

    private let clock: WallClock
    private let time: Timekeeper
    private let logger: Logger

    package init(clock: WallClock = .system, time: Timekeeper = .continuous, logger: Logger) {
        self.clock = clock
        self.time = time
        self.logger = logger
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var last = look()
            while true {
                // Cancelled: end.
                guard (try? await time.sleep(time.now() + Self.interval)) != nil, !Task.isCancelled else { return }
                let now = look()
                tell(of: now - last)
                last = now
            }
        }
    }

    /// How far the clock is ahead of one that started with this process; constant unless the clock is set.
    private func look() -> Duration { .microseconds(clock.now().microseconds) - time.now() }

    private func tell(of jump: Duration) {
        guard jump > Self.tolerance || jump < .zero - Self.tolerance else { return }
        logger.warning("System clock jumped", metadata: ["seconds": "\(jump.components.seconds)"])
    }
}
