import ChatCore
import Logging
import RedisClient
import Synchronization

/// Fetches jobs, starts them, and acknowledges finished ones: one script does all three in one round trip.
///
/// `WorkerState` decides. Only this task asks it for the next step, so at most one fetch or audit is in flight, and the
/// held lists can be compared with the running jobs.
final class Fetcher: Sendable {
    private let context: WorkerContext
    private let runner: JobRunner
    private let order: QueueOrder
    /// The presence; then the held list and the queue of each queue.
    private let keys: [String]
    private let state: Mutex<WorkerState>
    private let bell = Bell()
    /// Rung while there is nothing to do; one for each queue's `Peeker`.
    let idleBells: [Bell]
    /// Rung when our heartbeat has expired in Redis.
    let beatBell = Bell()

    init(_ context: WorkerContext, runner: JobRunner) {
        self.context = context
        self.runner = runner
        self.order = QueueOrder(context.configuration)
        self.keys =
            [context.identity] + context.queues.flatMap { [context.heldKey($0), SidekiqKey.queue($0)] }
        self.state = Mutex(
            WorkerState(
                concurrency: context.configuration.concurrency, lastGrace: context.configuration.intervals.lastGrace))
        self.idleBells = context.queues.map { _ in Bell() }
    }

    var inHand: [HeldJob] { state.withLock(\.inHand) }
    var isQuiet: Bool { state.withLock(\.isQuiet) }

    /// Changes the state and wakes the loop.
    func tell(_ change: (inout WorkerState) -> Void) {
        state.withLock { change(&$0) }
        bell.ring()
    }

    /// Runs until the state ends it. Jobs that do not react to cancellation may go on after that; they are put back
    /// nevertheless.
    func run() async {
        let end = Bell()
        Task {
            await withDiscardingTaskGroup { jobs in
                await fetch(into: &jobs)
                end.ring()
            }
        }
        await end.wait()
    }

    private func fetch(into jobs: inout DiscardingTaskGroup) async {
        while true {
            switch state.withLock({ $0.next(now: context.time.now()) }) {
            case .fetch(let count, let done):
                for job in await fetch(upTo: count, acknowledging: done) {
                    jobs.addTask {
                        let isDone = await self.runner.run(job)
                        self.tell { $0.ended(job.id, isDone: isDone) }
                    }
                }
            case .audit: await audit()
            case .wait:
                if state.withLock(\.isIdle) { for bell in idleBells { bell.ring() } }
                await bell.wait()
            case .cancel: jobs.cancelAll()
            case .end: return
            }
        }
    }

    /// Acknowledges the rest, and puts unfinished jobs back.
    ///
    /// - Returns: how many were put back.
    /// - Throws: `RedisError`; then rescuers put the jobs back.
    func release() async throws -> Int {
        let done = state.withLock(\.unacknowledged)
        if !done.isEmpty { _ = try await exchange(upTo: 0, acknowledging: done) }
        var count = 0
        for queue in context.queues {
            let keys = [context.heldKey(queue), SidekiqKey.queue(queue), SidekiqKey.holders]
            let reply = try await context.redis.eval(
                JobScripts.release, keys: keys, bytes: [Array(context.holder(queue).utf8)])
            count += Int(reply.integer ?? 0)
        }
        return count
    }

    /// - Returns: the jobs to start.
    private func fetch(upTo count: Int, acknowledging done: [HeldJob]) async -> [HeldJob] {
        do throws(RedisError) {
            let reply = try await exchange(upTo: count, acknowledging: done)
            context.outage.isOver(in: .fetch)
            guard let found = reply.array else {
                state.withLock { $0.absent(acknowledged: done.count) }
                beatBell.ring()
                return []
            }
            let now = context.clock.now()
            let jobs = stride(from: 0, to: found.count - 1, by: 2).compactMap { index in
                Self.job(number: found[index], payload: found[index + 1])
            }
            return state.withLock { $0.fetched(jobs, asked: count, acknowledged: done.count, now: now) }
        } catch {
            failed(error)
            return []
        }
    }

    /// One call of the script.
    private func exchange(upTo count: Int, acknowledging done: [HeldJob]) async throws(RedisError) -> RedisValue {
        let numbers = count > 0 ? order.next() : []
        return try await context.redis.eval(JobScripts.fetch, keys: keys) { command in
            command.append(Int64(count))
            command.append(Int64(done.count))
            for job in done {
                command.append(Int64(job.queue + 1))
                command.append(job.payload)
            }
            for number in numbers { command.append(Int64(number + 1)) }
        }
    }

    private static func job(number: RedisValue, payload: RedisValue) -> FetchedJob? {
        guard let number = number.integer, case .text(let payload) = payload else { return nil }
        return FetchedJob(queue: Int(number) - 1, payload: payload)
    }

    /// Puts back jobs in the held lists that we have never seen, because their reply was lost.
    private func audit() async {
        // First: changes from now on are suspect again.
        state.withLock { $0.audited() }
        do throws(RedisError) {
            var held: [FetchedJob] = []
            for (number, queue) in context.queues.enumerated() {
                let list = try await context.redis.send(RedisCommand("LRANGE", context.heldKey(queue), "0", "-1"))
                held += (list.array ?? []).compactMap { Self.job(number: .integer(Int64(number + 1)), payload: $0) }
            }
            let strays = state.withLock { $0.strays(among: held) }
            for job in strays {
                let queue = context.queues[job.queue]
                _ = try await context.redis.eval(
                    JobScripts.putBack,
                    keys: [context.heldKey(queue), SidekiqKey.queue(queue), SidekiqKey.queues],
                    bytes: [job.payload, Array(queue.utf8)])
            }
            // This does not end an outage: a Redis that refuses writes may still serve reads.
            if !strays.isEmpty {
                context.logger.warning(
                    "Put back jobs whose fetch reply was lost", metadata: ["jobs": "\(strays.count)"])
                state.withLock { $0.wake() }
            }
        } catch {
            failed(error)
            state.withLock { $0.suspect() }
        }
    }

    private func failed(_ error: RedisError) {
        context.outage.begins(error, in: .fetch)
        let isCertain = if case .unavailable = error { true } else { false }
        state.withLock { $0.fetchFailed(isUnknown: !isCertain) }
    }
}
