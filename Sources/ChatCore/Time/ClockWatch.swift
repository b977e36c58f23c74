package import Logging
import ServiceLifecycle

/// Notices when the system's clock jumps: it is set by hand, or corrected by NTP at once. Rows get wrong times meanwhile.
///
/// Nothing here depends on it: what waits goes by a clock that cannot be set, and what must not be deleted early goes by
/// two clocks (docs/decisions/0015-clocks.md).
package struct ClockWatch: Service {
    /// What NTP corrects at once rather than slowly is more than 0.128 s; scheduling may delay a look by some of this.
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
                // Cancelled is over.
                guard (try? await time.sleep(time.now() + Self.interval)) != nil, !Task.isCancelled else { return }
                let now = look()
                tell(of: now - last)
                last = now
            }
        }
    }

    /// How far the clock is ahead of one that started with this process; the same every time unless it was set.
    private func look() -> Duration { .microseconds(clock.now().microseconds) - time.now() }

    private func tell(of jump: Duration) {
        guard jump > Self.tolerance || jump < .zero - Self.tolerance else { return }
        logger.warning("System clock jumped", metadata: ["seconds": "\(jump.components.seconds)"])
    }
}
