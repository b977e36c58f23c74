import ChatCore
import Logging
import RedisClient
import Synchronization

/// The heartbeat of this process, for Sidekiq's web page and our rescuers: writes the running jobs and the statistics,
/// and receives orders.
final class Heartbeat: Sendable {
    /// An order that was left for this process.
    enum Order: String {
        case quiet = "TSTP"
        case stop = "TERM"
        /// The same as Ctrl-C.
        case interrupt = "INT"
        case dump = "TTIN"
    }

    private let context: WorkerContext
    private let fetcher: Fetcher
    private let statistics: WorkerStatistics
    private let metrics: JobMetrics
    /// Nil until the first beat: only then is the time known.
    private let info = Mutex<String?>(nil)
    private let roundTrip = Atomic<Int64>(0)

    init(_ context: WorkerContext, fetcher: Fetcher, statistics: WorkerStatistics, metrics: JobMetrics) {
        self.context = context
        self.fetcher = fetcher
        self.statistics = statistics
        self.metrics = metrics
    }

    /// - Returns: the orders since the last one.
    func beat() async -> [Order] {
        do throws(RedisError) {
            let elapsed = try await context.clock.measure()
            roundTrip.store(Int64(elapsed.inSeconds * 1_000_000), ordering: .relaxed)
        } catch {
            context.outage.begins(error, in: .beat)
            return []
        }
        let gathered = statistics.take()
        let inHand = fetcher.inHand
        metrics.inHand(inHand.count)
        let info = info.withLock { info in
            info = info ?? WorkerInfo.json(context, startedAt: context.clock.now())
            return info ?? ""
        }
        let presence = presence(inHand, info)
        do throws(RedisError) {
            let commands = presence + gathered.commands(format: context.format, now: context.clock.now())
            if let refusal = try await write(commands) {
                let words = commands[refusal.place].arguments.prefix(2).map { String(decoding: $0, as: UTF8.self) }
                context.outage.begins(
                    .server("\(refusal.error) (\(words.joined(separator: " ")))"), in: .beat)
                // Without a heartbeat it takes no jobs; the next beat retries.
                if refusal.place < presence.count { return [] }
            } else {
                context.outage.isOver(in: .beat)
            }
        } catch {
            // After a lost reply they may be counted twice, which is better than never.
            statistics.keep(gathered)
            context.outage.begins(error, in: .beat)
            return []
        }
        fetcher.tell { $0.present() }
        do throws(RedisError) {
            try await measureQueues()
            return try await orders()
        } catch {
            context.outage.begins(error, in: .beat)  // The next beat retries.
            return []
        }
    }

    /// Deregisters this process, and writes the rest of the statistics.
    func leave() async {
        let commands =
            statistics.take().commands(format: context.format, now: context.clock.now()) + [
                RedisCommand("SREM", SidekiqKey.processes, context.identity),
                RedisCommand("UNLINK", context.identity, context.identity + context.format.workSuffix),
            ]
        do throws(RedisError) {
            _ = try await write(commands)
        } catch {
            context.logger.warning(
                "Worker not deregistered: its heartbeat expires in a minute", metadata: ["error": "\(error)"])
        }
    }

    private func presence(_ inHand: [HeldJob], _ info: String) -> [RedisCommand] {
        let identity = context.identity
        let work = identity + context.format.workSuffix
        let time = "\(context.configuration.intervals.presence.milliseconds)"
        var commands = [
            RedisCommand("SADD", SidekiqKey.processes, identity),
            RedisCommand(["SADD", SidekiqKey.holders] + context.queues.map(context.holder)),
            RedisCommand(
                "HSET", identity, "info", info, "busy", "\(inHand.count)", "beat", "\(context.clock.now().seconds)",
                "rtt_us", "\(roundTrip.load(ordering: .relaxed))", "quiet", "\(fetcher.isQuiet)",
                "rss", "\(ProcessFacts.residentKilobytes)",
                // Sidekiq before 8.1.2 reads it from `info`.
                "concurrency", "\(context.configuration.concurrency)"),
            RedisCommand("PEXPIRE", identity, time),
            RedisCommand("UNLINK", work),
        ]
        for job in inHand {
            let queue: String = JSONText.string(context.queues[job.queue])
            let payload: String = JSONText.string(String(decoding: job.payload, as: UTF8.self))
            let text = "{\"queue\":\(queue),\"payload\":\(payload),\"run_at\":\(job.since.microseconds / 1_000_000)}"
            commands.append(RedisCommand("HSET", work, job.tid, text))
        }
        if !inHand.isEmpty { commands.append(RedisCommand("PEXPIRE", work, time)) }
        return commands
    }

    /// In one script, which even a full Redis runs: without a heartbeat a worker could not empty its queues.
    ///
    /// - Returns: the first refused command.
    private func write(_ commands: [RedisCommand]) async throws(RedisError) -> (place: Int, error: String)? {
        let reply = try await context.redis.eval(JobScripts.all, keys: []) { script in
            for command in commands {
                let arguments = command.arguments
                script.append(Int64(arguments.count))
                for argument in arguments { script.append(argument) }
            }
        }
        guard let refusal = reply.array, refusal.count == 2, let place = refusal[0].integer,
            commands.indices.contains(Int(place))
        else { return nil }
        return (Int(place), refusal[1].string ?? "")
    }

    private func orders() async throws(RedisError) -> [Order] {
        let orders = try await context.redis.send(RedisCommand("RPOP", "\(context.identity)-signals", "100"))
        return (orders.array ?? []).compactMap { $0.string.flatMap(Order.init(rawValue:)) }
    }

    private func measureQueues() async throws(RedisError) {
        for queue in context.queues {
            let report = try await QueueReport.read(queue, context.redis, now: context.clock.now())
            metrics.waiting(in: queue, report.size, latency: report.latency)
        }
    }
}

extension HeldJob {
    /// Sidekiq's thread id.
    var tid: String { String(id, radix: 36) }
}
