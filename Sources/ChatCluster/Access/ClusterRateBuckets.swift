import ChatCore
import Logging
import NIOCore
import RedisClient
import ServiceLifecycle
import Synchronization

/// The buckets that all processes of a deployment share, in Redis, and how many processes there are.
///
/// Nobody waits long for Redis: after `patience` a request is decided without it, and for `pause` nobody asks it.
final class ClusterRateBuckets: SharedRateBuckets, Service {
    private static let patience = TimeAmount.milliseconds(100)
    /// Requests that wait for a script. More are decided without one.
    private static let mostWaiting = 8192
    /// In nanoseconds: a wait after this time is another incident.
    private static let calm: UInt64 = 60_000_000_000

    private let buckets: RedisRateBuckets
    private let redis: RedisClient
    private let group: any EventLoopGroup
    private let pause: TimeAmount
    private let key: String
    /// Of this process among the others.
    private let process = UInt64.random(in: .min ... .max)
    private let seen = Mutex(SeenProcesses())
    private let queue = Mutex(ScriptQueue())
    /// In nanoseconds of NIO's clock.
    private let restsUntil = Atomic<UInt64>(0)
    private let logger: Logger

    /// - Parameters:
    ///   - deployment: its id, which is part of all keys.
    ///   - pause: how long nobody asks a Redis that was too slow.
    init(
        redis: RedisClient, deployment: String, group: any EventLoopGroup, pause: TimeAmount = .seconds(1),
        logger: Logger
    ) {
        self.redis = redis
        self.group = group
        self.pause = pause
        self.buckets = RedisRateBuckets(redis: redis, prefix: "luciq:\(deployment):limit:")
        self.key = "luciq:\(deployment):processes"
        self.logger = logger
    }

    var isThere: Bool {
        redis.isConnected && NIODeadline.now().uptimeNanoseconds >= restsUntil.load(ordering: .relaxed)
    }

    var processes: Int { seen.withLock(\.count) }

    /// One script at a time: it takes the units of all requests that have come while the one before ran.
    func take(_ charges: [RateCharge<String>]) async -> RateDecision? {
        await withCheckedContinuation { continuation in
            let (isTaken, next) = queue.withLock { queue in
                guard queue.waiting.count < Self.mostWaiting else { return (false, nil as Script?) }
                queue.waiting.append(Waiting(charges: charges, continuation: continuation))
                return (true, queue.next())
            }
            if !isTaken { continuation.resume(returning: nil) }
            if let next { run(next) }
        }
    }

    private func run(_ script: Script) {
        let timer = group.any().scheduleTask(in: Self.patience) { [self] in
            if end(script, with: nil, isLate: true) { rest() }
        }
        Task { [buckets] in
            // The client logs an outage, and the callers decide without an answer.
            let decisions = try? await buckets.take(script.requests.map(\.charges))
            timer.cancel()
            end(script, with: decisions)
        }
    }

    /// - Parameter isLate: whether nobody waits for another one.
    /// - Returns: whether the script had not ended before.
    @discardableResult
    private func end(_ script: Script, with decisions: [RateDecision]?, isLate: Bool = false) -> Bool {
        let (hasEnded, given, next) = queue.withLock { queue in
            guard queue.running == script.number else { return (false, [] as [Waiting], nil as Script?) }
            queue.running = nil
            guard isLate else { return (true, [], queue.next()) }
            defer { queue.waiting = [] }
            return (true, queue.waiting, nil)
        }
        guard hasEnded else { return false }
        if let next { run(next) }
        for (index, request) in script.requests.enumerated() {
            request.continuation.resume(returning: decisions?[index])
        }
        for request in given { request.continuation.resume(returning: nil) }
        return true
    }

    /// Redis was too slow.
    private func rest() {
        let until = (NIODeadline.now() + pause).uptimeNanoseconds
        let before = restsUntil.exchange(until, ordering: .relaxed)
        // Once an incident.
        guard before == 0 || until > before + Self.calm else { return }
        logger.warning("Redis is slow: limits are kept by each process for its share")
    }

    func giveBack(_ charges: [RateCharge<String>], paying others: [RateCharge<String>]) {
        buckets.postBack(charges, paying: others)
    }

    /// Gives this process' sign of life, and looks who else lives.
    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let isSeen = await self.look()
                // A shutdown cuts it short.
                try? await Task.sleep(for: isSeen ? .microseconds(SeenProcesses.interval) : .seconds(1))
            }
        }
    }

    /// - Returns: whether Redis answered.
    func look() async -> Bool {
        guard redis.isConnected else { return false }
        do throws(RedisError) {
            let members = try await redis.eval(
                Self.script, keys: [key],
                arguments: [String(process), String(SeenProcesses.window), String(SeenProcesses.interval * 3 / 2)])
            let now = Int64(NIODeadline.now().uptimeNanoseconds / 1000)
            let processes = (members.array ?? []).compactMap { $0.string.flatMap { UInt64($0) } }
            seen.withLock { seen in for process in processes { seen.see(process, at: now) } }
            return true
        } catch {
            return false
        }
    }

    /// Notes a process, forgets those that have been silent for a window, and tells those that have been heard lately.
    private static let script = RedisScript(
        """
        if redis.replicate_commands then redis.replicate_commands() end
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[2]))
        redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2] / 1000))
        return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('%.0f', now - ARGV[3]), '+inf', 'LIMIT', 0, 1024)
        """)
}

/// A request that waits for its units.
private struct Waiting: Sendable {
    let charges: [RateCharge<String>]
    let continuation: CheckedContinuation<RateDecision?, Never>
}

/// A run of the script.
private struct Script: Sendable {
    let number: UInt64
    let requests: [Waiting]
}

private struct ScriptQueue: Sendable {
    /// Requests of one script. It keeps Redis busy for less than a millisecond.
    static let mostAtOnce = 128

    var waiting: [Waiting] = []
    /// The number of the script that is running.
    var running: UInt64?
    private var last: UInt64 = 0

    /// The script to run now; nil if one is running, or nobody waits.
    mutating func next() -> Script? {
        guard running == nil, !waiting.isEmpty else { return nil }
        last += 1
        running = last
        let requests = waiting.prefix(Self.mostAtOnce)
        waiting.removeFirst(requests.count)
        return Script(number: last, requests: Array(requests))
    }
}
