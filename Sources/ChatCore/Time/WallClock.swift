#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The time of day, for rows and logs. Tests set their own.
package struct WallClock: Sendable {
    package let now: @Sendable () -> Timestamp

    package init(now: @escaping @Sendable () -> Timestamp) { self.now = now }

    /// The operating system's clock (`CLOCK_REALTIME`).
    package static let system = WallClock {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}

extension WallClock {
    /// The same clock, but ignoring jumps ahead: they would make rows look older than they are. A clock that is set
    /// back makes rows look younger, so they are waited for longer.
    func neverAhead(by time: Timekeeper) -> WallClock {
        let (start, origin) = (now(), time.now())
        return WallClock { min(now(), start.adding(time.now() - origin)) }
    }
}
