import ChatCore

/// The limits of the dead set: Sidekiq's `dead_max_jobs` and `dead_timeout_in_seconds`.
package struct DeadLimits: Sendable {
    package var count = 10_000
    package var age = Duration.seconds(180 * 24 * 3600)

    package init() {}

    /// The last arguments of every script that adds to the dead set: the oldest score and the number of jobs to keep.
    func bounds(now: Timestamp) -> [[UInt8]] {
        [Array(String(now.seconds - age.inSeconds).utf8), Array(String(count).utf8)]
    }
}
