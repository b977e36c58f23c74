/// A clock of any kind as one concrete type; moments are durations since this value was made.
///
/// All waiting code uses it, so that a test can set the time.
package struct Timekeeper: Sendable {
    /// The time passed since the origin.
    package let now: @Sendable () -> Duration
    /// Suspends until that moment. Throws only `CancellationError`.
    package let sleep: @Sendable (_ until: Duration) async throws -> Void

    package init<C: Clock>(_ clock: C) where C.Duration == Duration {
        let origin = clock.now
        self.now = { origin.duration(to: clock.now) }
        self.sleep = { try await clock.sleep(until: origin.advanced(by: $0), tolerance: nil) }
    }

    package init(
        now: @escaping @Sendable () -> Duration, sleep: @escaping @Sendable (_ until: Duration) async throws -> Void
    ) {
        self.now = now
        self.sleep = sleep
    }

    package static var continuous: Timekeeper { Timekeeper(ContinuousClock()) }
}
