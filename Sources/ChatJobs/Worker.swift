package import ChatCore
package import Logging
package import Metrics
package import RedisClient
import ServiceLifecycle

/// Performs jobs, like a Sidekiq process, together with Ruby's processes or alone.
///
/// The guarantee: a job in Redis is performed at least once, whatever dies, and perhaps twice. It is in a queue, in a
/// set or in the held list of a process, and one script moves it from one to another. If this process dies, others put
/// its jobs back (`Rescuer`); if a reply is lost, the process itself notices (`Fetcher`).
///
/// The caller runs its `RedisClient`, for longer than the worker.
package final class Worker: Service {
    package let identity: String
    private let context: WorkerContext
    private let fetcher: Fetcher
    private let heartbeat: Heartbeat

    /// - Parameter clock: nil for a separate one.
    package init(
        _ configuration: WorkerConfiguration,
        jobs: JobRegistry,
        redis: RedisClient,
        clock: RedisClock? = nil,
        time: Timekeeper = .continuous,
        logger: Logger,
        metrics: any MetricsFactory
    ) {
        precondition(
            configuration.concurrency > 0 && !configuration.queues.isEmpty, "a worker needs a slot and a queue")
        identity = "\(ProcessFacts.hostname):\(ProcessFacts.pid):\(randomHex(bytes: 6))"
        context = WorkerContext(
            identity: identity, configuration: configuration, redis: redis,
            clock: clock ?? RedisClock(redis, logger: logger), time: time, logger: logger,
            outage: Outage(logger: logger))
        let statistics = WorkerStatistics()
        let metrics = JobMetrics(jobs: jobs.names, queues: context.queues, factory: metrics)
        fetcher = Fetcher(
            context, runner: JobRunner(context: context, jobs: jobs, statistics: statistics, metrics: metrics))
        heartbeat = Heartbeat(context, fetcher: fetcher, statistics: statistics, metrics: metrics)
    }

    /// Whether it takes no more jobs: it is quiet, or stopping.
    package var isQuiet: Bool { fetcher.isQuiet }

    /// Takes no more jobs; running ones go on (TSTP).
    package func quiet() { fetcher.tell { $0.quiet() } }

    /// Takes no more jobs, and makes `run` return when the running ones are done, or put back after the timeout (TERM).
    package func stop() { stop(within: context.configuration.shutdownTimeout) }

    /// Logs the running jobs, and since when they run (TTIN).
    package func dump() {
        let inHand = fetcher.inHand
        context.logger.warning("Jobs running", metadata: ["jobs": "\(inHand.count)"])
        for job in inHand {
            let payload = try? JobPayload(job.payload)  // Nil for a malformed job, which goes to the dead set.
            context.logger.warning(
                "Job running",
                metadata: [
                    "jid": "\(payload?.jid ?? "none")", "job": "\(payload?.job ?? "none")",
                    "queue": "\(context.queues[job.queue])", "since": "\(job.since.rfc3339)",
                ])
        }
    }

    /// Works until the graceful shutdown, or `stop`. Cancelling the task leaves jobs only the time to end at once.
    package func run() async throws {
        // Not a child task: it must end its jobs in order when this task is cancelled.
        let working = Task { await work() }
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await working.value
            } onGracefulShutdown: {
                self.stop()
            }
        } onCancel: {
            stop(within: .zero)
        }
    }

    private func stop(within timeout: Duration) {
        fetcher.tell { [time = context.time] in $0.stop(deadline: time.now() + timeout) }
    }

    private func work() async {
        context.logger.info(
            "Working",
            metadata: [
                "identity": "\(identity)", "queues": "\(context.queues)",
                "concurrency": "\(context.configuration.concurrency)",
            ])
        context.redis.onReconnect { [weak fetcher] in
            // Replies may be lost, and our heartbeat may have expired.
            fetcher?.tell { state in
                state.suspect()
                state.wake()
            }
            fetcher?.beatBell.ring()
        }
        await withTaskGroup { group in
            let (context, fetcher) = (context, fetcher)
            let intervals = context.configuration.intervals
            group.addTask { await self.beat() }
            for (queue, bell) in zip(context.queues, fetcher.idleBells) {
                group.addTask { await Peeker(context: context, queue: queue, bell: bell, fetcher: fetcher).run() }
            }
            group.addTask { await Poller(context: context, fetcher: fetcher).run() }
            group.addTask { await Rescuer(context: context).run() }
            group.addTask {
                await context.time.repeating(every: { intervals.tick }) { fetcher.tell { $0.wake() } }
            }
            group.addTask {
                await context.time.repeating(every: { intervals.audit }) { fetcher.tell { $0.suspect() } }
            }
            await fetcher.run()
            group.cancelAll()
        }
        await leave()
        context.logger.info("Worker stopped", metadata: ["identity": "\(identity)"])
    }

    private func beat() async {
        await context.time.repeating(every: { [context] in context.configuration.beat }, or: fetcher.beatBell) {
            for order in await heartbeat.beat() {
                context.logger.info("Order received", metadata: ["order": "\(order.rawValue)"])
                switch order {
                case .quiet: quiet()
                case .stop, .interrupt: stop()
                case .dump: dump()
                }
            }
        }
    }

    /// Puts unfinished jobs back, and deregisters. Without Redis a rescuer does that.
    private func leave() async {
        for isLast in [false, true] {
            do {
                let count = try await fetcher.release()
                if count > 0 {
                    context.logger.warning("Unfinished jobs put back into their queues", metadata: ["jobs": "\(count)"])
                }
                break
            } catch {
                if isLast {
                    context.logger.warning(
                        "Running jobs not put back: another worker rescues them in a minute",
                        metadata: ["error": "\(error)"])
                }
                // The second try reports the error.
                try? await context.redis.waitUntilConnected(timeout: .seconds(2))
            }
        }
        await heartbeat.leave()
    }
}
