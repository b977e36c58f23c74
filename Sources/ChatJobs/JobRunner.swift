import ChatCore
import Logging
import RedisClient

/// Performs one job, and moves it if it fails.
struct JobRunner: Sendable {
    let context: WorkerContext
    let jobs: JobRegistry
    let statistics: WorkerStatistics
    let metrics: JobMetrics

    /// - Returns: whether to acknowledge it. If not, it has left the held list, or stays there until the worker ends
    ///   and puts it back.
    func run(_ job: HeldJob) async -> Bool {
        let payload: JobPayload
        let call: JobCall
        do throws(JobPayload.Malformed) {
            payload = try JobPayload(job.payload)
            call = try JobCall(payload)
        } catch {
            return await bury(job, error)
        }
        let registered = jobs[call.job]
        let start = ContinuousClock.now
        log(.debug, "start", payload, call)
        do {
            guard let registered else { throw UnknownJob(name: call.job) }
            try await registered.perform(call.arguments)
            let elapsed = ContinuousClock.now - start
            statistics.succeeded(call.job, elapsed)
            metrics.ended(registered.name, .succeeded, elapsed)
            log(.debug, "done", payload, call, elapsed)
            return true
        } catch {
            // A cancelled job has not failed: it goes back unchanged.
            if Task.isCancelled { return false }
            let elapsed = ContinuousClock.now - start
            statistics.failed(registered == nil ? nil : call.job)
            metrics.ended(registered?.name, .failed, elapsed)
            log(.info, "fail", payload, call, elapsed, error)
            await settle(
                job,
                JobFailure(
                    of: payload, in: context.queues[job.queue], error: error, options: registered?.options,
                    format: context.format, now: context.clock.now(), jitter: .random(in: 0..<1)))
            return false
        }
    }

    /// A job that can never run goes to the dead set at once.
    private func bury(_ job: HeldJob, _ error: JobPayload.Malformed) async -> Bool {
        context.logger.warning(
            "Malformed job moved to the dead set",
            metadata: ["error": "\(error)", "queue": "\(context.queues[job.queue])"])
        metrics.ended(nil, .failed, .zero)
        let bytes = DeadPayload.make(
            of: job.payload, error: error, queue: context.queues[job.queue], format: context.format,
            now: context.clock.now())
        await settle(job, JobFailure(fate: .dead, payload: bytes))
        return false
    }

    /// Moves a failed job in Redis. Retries until that is confirmed or the worker ends: then the job is still held, and
    /// is put back or rescued.
    private func settle(_ job: HeldJob, _ failure: JobFailure) async {
        let held = context.heldKey(context.queues[job.queue])
        while !Task.isCancelled {
            let now = context.clock.now()
            do throws(RedisError) {
                switch failure.fate {
                case .retry(let at):
                    _ = try await context.redis.eval(
                        JobScripts.fail, keys: [held, SidekiqKey.retry],
                        bytes: [job.payload, failure.payload, Array(String(at.seconds).utf8)])
                case .dead:
                    _ = try await context.redis.eval(
                        JobScripts.fail, keys: [held, SidekiqKey.dead],
                        bytes: [job.payload, failure.payload, Array(String(now.seconds).utf8)]
                            + context.configuration.dead.bounds(now: now))
                case .dropped: _ = try await context.redis.eval(JobScripts.fail, keys: [held], bytes: [job.payload])
                }
                context.outage.isOver(in: .settle)
                return
            } catch {
                context.outage.begins(error, in: .settle)
            }
            try? await context.time.sleep(context.time.now() + .milliseconds(500))  // A shutdown cuts it short.
        }
    }

    private func log(
        _ level: Logger.Level, _ event: Logger.Message, _ payload: JobPayload, _ call: JobCall,
        _ elapsed: Duration? = nil, _ error: (any Error)? = nil
    ) {
        guard context.logger.logLevel <= level else { return }
        var metadata: Logger.Metadata = ["jid": "\(payload.jid ?? "none")", "job": "\(call.job)"]
        if let elapsed { metadata["elapsed"] = "\(elapsed.inSeconds)" }
        if let error { metadata["error"] = "\(JobFailure.message(error, longest: 1000))" }
        context.logger.log(level: level, event, metadata: metadata)
    }
}

extension JobFailure {
    init(fate: Fate, payload: [UInt8]) {
        self.fate = fate
        self.payload = payload
    }
}
