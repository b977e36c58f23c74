package import ChatCore
import Cryptography
package import RedisClient

/// Enqueues jobs, for our workers or Ruby's.
///
/// All methods throw `RedisError`: after `.unavailable` nothing was enqueued, after `.outcomeUnknown` something may be.
package struct JobQueue: Sendable {
    package let redis: RedisClient
    package let format: SidekiqFormat
    package let clock: WallClock

    package init(redis: RedisClient, format: SidekiqFormat = .v8, clock: WallClock = .system) {
        self.redis = redis
        self.format = format
        self.clock = clock
    }

    /// - Parameters:
    ///   - queue: instead of the job's own.
    ///   - at: when it is due; nil for now.
    ///   - uniqueFor: how long from now no equal job (by class and arguments) is enqueued in this way, even after this
    ///     one has been performed.
    /// - Returns: the job's id; nil if there is an equal one.
    @discardableResult
    package func enqueue<J: Job>(
        _ job: J.Type, _ arguments: J.Arguments, queue: String? = nil, at: Timestamp? = nil, uniqueFor: Duration? = nil
    ) async throws -> String? {
        try await enqueue(
            named: J.name, arguments: JobArguments<J>.encode(arguments), options: J.options, queue: queue, at: at,
            uniqueFor: uniqueFor)
    }

    /// Writes JSON like Ruby, without spaces: Sidekiq's page can move only entries that Ruby would write in the same
    /// way.
    ///
    /// - Parameter arguments: JSON.
    package static func compact(_ arguments: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var isInString = false
        var isEscaped = false
        for byte in arguments.utf8 {
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else {
                    isInString = byte != UInt8(ascii: "\"")
                }
            } else if byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
                continue
            } else {
                isInString = byte == UInt8(ascii: "\"")
            }
            bytes.append(byte)
        }
        return bytes
    }

    /// Enqueues a job by its name.
    ///
    /// - Parameter arguments: a JSON array.
    @discardableResult
    package func enqueue(
        named job: String,
        arguments: [UInt8] = Array("[]".utf8),
        options: JobOptions = JobOptions(),
        queue: String? = nil,
        at: Timestamp? = nil,
        uniqueFor: Duration? = nil
    ) async throws -> String? {
        let queue = queue ?? options.queue
        let payload = payload(job, arguments, options, queue: queue, isDue: at == nil)
        guard let uniqueFor else {
            try await push([payload.bytes], queue: queue, at: at)
            return payload.jid
        }
        let digest = SHA256.hash(Array(job.utf8) + [0] + arguments).hexadecimal
        let reply = try await redis.eval(
            JobScripts.pushUnique,
            keys: [
                SidekiqKey.unique(digest), SidekiqKey.queues, at == nil ? SidekiqKey.queue(queue) : SidekiqKey.schedule,
            ],
            bytes: [
                Array((payload.jid ?? "").utf8), Array(String(max(1, uniqueFor.milliseconds)).utf8),
                Array((at.map { String($0.seconds) } ?? "").utf8), Array(queue.utf8), payload.bytes,
            ])
        return reply.integer == 1 ? payload.jid : nil
    }

    /// Enqueues many jobs, a thousand at a time.
    ///
    /// - Returns: their ids, in order. If it throws, some may be enqueued.
    @discardableResult
    package func enqueue<J: Job>(
        _ job: J.Type, each arguments: [J.Arguments], queue: String? = nil, at: Timestamp? = nil
    ) async throws -> [String] {
        let queue = queue ?? J.options.queue
        var ids: [String] = []
        for start in stride(from: 0, to: arguments.count, by: 1000) {
            var payloads: [[UInt8]] = []
            for arguments in arguments[start..<min(start + 1000, arguments.count)] {
                let payload = payload(
                    J.name, try JobArguments<J>.encode(arguments), J.options, queue: queue, isDue: at == nil)
                ids.append(payload.jid ?? "")
                payloads.append(payload.bytes)
            }
            try await push(payloads, queue: queue, at: at)
        }
        return ids
    }

    private func payload(
        _ job: String, _ arguments: [UInt8], _ options: JobOptions, queue: String, isDue: Bool
    ) -> JobPayload {
        let now = clock.now()
        var payload = JobPayload(
            job: job, arguments: arguments, queue: queue, options: options, format: format, now: now)
        if isDue { payload.set("enqueued_at", raw: format.timestamp(now)) }
        return payload
    }

    private func push(_ payloads: [[UInt8]], queue: String, at: Timestamp?) async throws {
        var commands: [RedisCommand]
        if let at {
            let score = Array(String(at.seconds).utf8)
            commands = [RedisCommand("ZADD", SidekiqKey.schedule, bytes: payloads.flatMap { [score, $0] })]
        } else {
            commands = [
                RedisCommand("SADD", SidekiqKey.queues, queue),
                RedisCommand("LPUSH", SidekiqKey.queue(queue), bytes: payloads),
            ]
        }
        for reply in await redis.send(commands) { _ = try reply.get() }
    }
}

extension Duration {
    /// Whole milliseconds, cut.
    var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }

    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
