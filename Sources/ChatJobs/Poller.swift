import ChatCore
import Logging
import RedisClient
import Synchronization

/// Moves due jobs into their queues: scheduled ones, and retries.
///
/// Sidekiq removes a job from its set and then pushes it, and a crash in between loses it; here one script does both.
struct Poller: Sendable {
    let context: WorkerContext
    let fetcher: Fetcher

    private static let portion = 100

    func run() async {
        let processes = Atomic(1)
        await context.time.repeating(
            every: { Self.pause(context.configuration.averagePoll, of: processes.load(ordering: .relaxed)) }
        ) {
            if fetcher.isQuiet { return }
            do throws(RedisError) {
                try await poll()
                let count = try await context.redis.send(RedisCommand("SCARD", SidekiqKey.processes)).integer
                processes.store(Int(count ?? 1), ordering: .relaxed)
                context.outage.isOver(in: .poll)
            } catch {
                context.outage.begins(error, in: .poll)
            }
        }
    }

    /// The pause, as in Sidekiq: it grows with the number of processes, so that all together poll at a constant rate.
    /// But at most half a minute: killed processes count for another minute, and after a crash loop the few live ones
    /// would hardly ever poll.
    private static func pause(_ average: Duration, of processes: Int) -> Duration {
        min(
            average * Double(max(1, processes)) * (processes < 10 ? .random(in: 0.5...1.5) : .random(in: 0...2)),
            .seconds(30))
    }

    /// Moves all due jobs. One that Redis refuses to move (for example into a queue that is not a list) does not block
    /// others.
    func poll() async throws(RedisError) {
        try await context.clock.measure()
        var refusal: RedisError?
        for set in [SidekiqKey.retry, SidekiqKey.schedule] {
            do throws(RedisError) {
                refusal = try await poll(set) ?? refusal
            } catch {
                guard case .server = error else { throw error }
                refusal = error
            }
        }
        if let refusal { throw refusal }
    }

    /// - Returns: the error of a job that could not be moved.
    private func poll(_ set: String) async throws(RedisError) -> RedisError? {
        var refusal: RedisError?
        var refused = 0
        while !fetcher.isQuiet, !Task.isCancelled {
            let now = context.clock.now()
            let due = try await context.redis.send(
                RedisCommand(
                    "ZRANGE", set, "-inf", "\(now.seconds)", "BYSCORE", "LIMIT", "\(refused)", "\(Self.portion)"))
            let entries = (due.array ?? []).compactMap { if case .text(let bytes) = $0 { bytes } else { nil } }
            for entry in entries {
                do throws(RedisError) {
                    try await promote(entry, from: set, now: now)
                } catch {
                    guard case .server = error else { throw error }
                    refusal = error
                    refused += 1
                }
            }
            if entries.count < Self.portion || refused >= Self.portion { break }
        }
        return refusal
    }

    private func promote(_ entry: [UInt8], from set: String, now: Timestamp) async throws(RedisError) {
        var payload: JobPayload
        do throws(JobPayload.Malformed) {
            payload = try JobPayload(entry)
        } catch {
            context.logger.warning(
                "Malformed job moved to the dead set", metadata: ["error": "\(error)", "set": "\(set)"])
            _ = try await context.redis.eval(
                JobScripts.kill, keys: [set, SidekiqKey.dead],
                bytes: [
                    entry,
                    DeadPayload.make(of: entry, error: error, queue: nil, format: context.format, now: now),
                    Array(String(now.seconds).utf8),
                ] + context.configuration.dead.bounds(now: now))
            return
        }
        payload.remove("at")
        payload.set("enqueued_at", raw: context.format.timestamp(now))
        let queue = payload.queue ?? JobOptions().queue
        _ = try await context.redis.eval(
            JobScripts.promote, keys: [set, SidekiqKey.queue(queue), SidekiqKey.queues],
            bytes: [entry, payload.bytes, Array(queue.utf8)])
    }
}
