import ChatCore
import Cryptography
import Logging
import RedisClient

/// Puts back the jobs of dead processes, and forgets these.
///
/// Every worker checks from time to time, and a lock lets one do it at a time. A process counts as dead when its
/// presence has expired. Each script checks that again, so that a process that comes back at this moment keeps its
/// jobs.
struct Rescuer: Sendable {
    let context: WorkerContext
    /// A job that has killed this many workers goes to the dead set.
    static let deaths = 3

    func run() async {
        let (from, to) = context.configuration.intervals.rescue
        await context.time.repeating(every: { from + (to - from) * Double.random(in: 0...1) }) {
            do throws(RedisError) {
                try await look()
                context.outage.isOver(in: .rescue)
            } catch {
                context.outage.begins(error, in: .rescue)
            }
        }
    }

    func look() async throws(RedisError) {
        // Shorter than any pause: the holder has released it by its next look.
        let lock = context.configuration.intervals.rescue.from.milliseconds * 3 / 4
        let reply = try await context.redis.send(
            RedisCommand("SET", SidekiqKey.rescue, context.identity, "NX", "PX", "\(max(lock, 1))"))
        guard reply != .null else { return }
        let holders = try await context.redis.send(RedisCommand("SMEMBERS", SidekiqKey.holders))
        var refusal: RedisError?
        for holder in (holders.array ?? []).compactMap(\.string) {
            // By bytes: a queue's name may begin with a combining mark, which Swift joins with the space.
            let parts = holder.utf8.split(separator: UInt8(ascii: " "), maxSplits: 1).map { String(Substring($0)) }
            guard parts.count == 2, !parts[0].isSame(context.identity) else { continue }
            do throws(RedisError) {
                try await rescue(holder, identity: parts[0], queue: parts[1])
            } catch {
                // A refusal for one queue (for example if it is not a list) does not block others.
                guard case .server = error else { throw error }
                refusal = error
            }
        }
        try await forgetProcesses()
        if let refusal { throw refusal }
    }

    private func rescue(_ holder: String, identity: String, queue: String) async throws(RedisError) {
        guard try await context.redis.send(RedisCommand("EXISTS", identity)).integer == 0 else { return }
        let held = SidekiqKey.held(identity, queue)
        let list = try await context.redis.send(RedisCommand("LRANGE", held, "0", "-1"))
        // The newest first, so that the oldest is the next to be taken.
        for case .text(let payload) in list.array ?? [] {
            try await rescue(payload, of: identity, held: held, queue: queue)
        }
        _ = try await context.redis.eval(
            JobScripts.forget, keys: [identity, held, SidekiqKey.holders], bytes: [Array(holder.utf8)])
    }

    private func rescue(
        _ bytes: [UInt8], of identity: String, held: String, queue: String
    ) async throws(RedisError) {
        let now = context.clock.now()
        let jid = (try? JobPayload(bytes))?.jid  // Nil for a malformed job.
        let dead = DeadPayload.make(
            of: bytes, error: Poisonous(deaths: Self.deaths), queue: queue, format: context.format, now: now)
        let deaths = try await context.redis.eval(
            JobScripts.rescue,
            keys: [
                identity, held, SidekiqKey.queue(queue), SidekiqKey.queues,
                SidekiqKey.deaths(jid ?? SHA256.hash(bytes).hexadecimal), SidekiqKey.dead,
            ],
            bytes: [bytes, dead, Array(queue.utf8), Array(String(now.seconds).utf8)]
                + context.configuration.dead.bounds(now: now)
                + [Array(String(Self.deaths).utf8)])
        guard let deaths = deaths.integer, deaths > 0 else { return }
        context.logger.warning(
            deaths < Self.deaths
                ? "Job rescued from a dead process" : "Job moved to the dead set: its workers die",
            metadata: ["jid": "\(jid ?? "none")", "process": "\(identity)", "deaths": "\(deaths)"])
    }

    /// Removes processes with an expired presence from Sidekiq's list.
    private func forgetProcesses() async throws(RedisError) {
        let processes = try await context.redis.send(RedisCommand("SMEMBERS", SidekiqKey.processes))
        for process in (processes.array ?? []).compactMap(\.string) {
            guard try await context.redis.send(RedisCommand("EXISTS", process)).integer == 0 else { continue }
            _ = try await context.redis.send(RedisCommand("SREM", SidekiqKey.processes, process))
        }
    }
}
