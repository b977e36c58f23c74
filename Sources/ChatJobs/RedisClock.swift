package import ChatCore
package import Logging
package import RedisClient
import Synchronization

/// The clock for jobs: Redis' clock, which all processes share, instead of this machine's.
///
/// It asks Redis at each heartbeat and each poll; in between it adds the elapsed time, which changes of the system's
/// clock do not affect. So a machine whose clock is wrong by days does not run jobs early or late, nor trim data that
/// others still need.
///
/// When Redis' clock itself jumps, and the other two (the system's and the elapsed time) agree, those win. Each
/// disagreement is logged once.
package final class RedisClock: Sendable {
    private struct State {
        /// A measured time, and the steady clock at that moment.
        var base: (time: Timestamp, at: Duration)?
        var isSystemWrong = false
        var isRedisWrong = false
    }

    /// Clocks that differ by less count as equal.
    static let tolerance = Duration.seconds(5)
    /// How long a measurement is valid. More time between two of them means that this process was frozen, or that its
    /// steady clock jumped too.
    static let lifetime = Duration.seconds(60)

    /// Nil if the system's clock counts.
    private let measured: (@Sendable () async throws(RedisError) -> Timestamp?)?
    private let system: WallClock
    private let time: Timekeeper
    private let logger: Logger
    private let state = Mutex(State())

    package convenience init(
        _ redis: RedisClient, system: WallClock = .system, time: Timekeeper = .continuous, logger: Logger
    ) {
        self.init(system: system, time: time, logger: logger) { () async throws(RedisError) in
            Timestamp(redis: try await redis.send(RedisCommand("TIME")))
        }
    }

    /// - Parameter measure: asks Redis; nil if it has no time.
    init(
        system: WallClock, time: Timekeeper, logger: Logger,
        measure: @escaping @Sendable () async throws(RedisError) -> Timestamp?
    ) {
        (self.measured, self.system, self.time, self.logger) = (measure, system, time, logger)
    }

    /// A clock that does not ask Redis.
    package init(trusting clock: WallClock) {
        (measured, system, time) = (nil, clock, .continuous)
        logger = Logger(label: "luciq") { _ in SwiftLogNoOpLogHandler() }
    }

    /// The time by the last measurement; the system's time before the first one.
    package func now() -> Timestamp {
        guard let base = state.withLock(\.base) else { return system.now() }
        return base.time.adding(min(time.now() - base.at, Self.lifetime))
    }

    /// The same as a `WallClock`.
    package var wall: WallClock { WallClock { self.now() } }

    /// Asks Redis. Without the right to `TIME` the system's clock counts.
    ///
    /// - Returns: how long the answer took.
    @discardableResult
    package func measure() async throws(RedisError) -> Duration {
        guard let measured else { return .zero }
        let start = time.now()
        var told: Timestamp?
        do throws(RedisError) {
            told = try await measured()
        } catch {
            guard error.prefix == "NOPERM" || error.prefix == "ERR" else { throw error }
        }
        let elapsed = time.now() - start
        if let told { settle(told, at: start + elapsed / 2, within: Self.tolerance + elapsed) }
        return elapsed
    }

    /// The majority of three: Redis, the system, and the last measurement plus the elapsed time.
    private func settle(_ told: Timestamp, at moment: Duration, within tolerance: Duration) {
        let system = system.now()
        let (log, used) = state.withLock { state in
            var used = told
            if let base = state.base, moment - base.at <= Self.lifetime {
                let expected = base.time.adding(moment - base.at)
                if told.differs(from: expected, by: tolerance), !system.differs(from: expected, by: tolerance) {
                    used = expected
                }
            }
            state.base = (used, moment)
            let (isRedisWrong, isSystemWrong) = (used != told, system.differs(from: used, by: tolerance))
            defer { (state.isRedisWrong, state.isSystemWrong) = (isRedisWrong, isSystemWrong) }
            return (
                (redis: isRedisWrong != state.isRedisWrong, system: isSystemWrong != state.isSystemWrong), used
            )
        }
        if log.redis { report("Redis' clock", told, used) }
        if log.system { report("This machine's clock", system, used) }
    }

    private func report(_ clock: String, _ time: Timestamp, _ used: Timestamp) {
        let metadata: Logger.Metadata = ["clock": "\(time.rfc3339)", "used": "\(used.rfc3339)"]
        if time.differs(from: used, by: Self.tolerance) {
            logger.warning("\(clock) is wrong and not used for jobs", metadata: metadata)
        } else {
            logger.info("\(clock) is right again", metadata: metadata)
        }
    }
}

extension Timestamp {
    /// Reads the answer to `TIME`: seconds and microseconds.
    init?(redis reply: RedisValue) {
        guard let parts = reply.array, parts.count == 2, let seconds = parts[0].integer, let rest = parts[1].integer,
            (0...100_000_000_000).contains(seconds), (0..<1_000_000).contains(rest)
        else { return nil }
        self.init(microseconds: seconds * 1_000_000 + rest)
    }

    func differs(from other: Timestamp, by tolerance: Duration) -> Bool {
        let difference = Duration.microseconds(microseconds - other.microseconds)
        return difference > tolerance || difference < .zero - tolerance
    }
}
