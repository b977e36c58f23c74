import ChatCore
import RedisClient

/// Waits for jobs in one queue while the worker is idle.
///
/// It blocks on a move of the queue's last job to its own place, which changes nothing. Unlike a blocking pop, this
/// does not hand a job to a process that may die at that moment. Unlike a blocking move into a held list, it works for
/// any number of queues in any order. The script then fetches the job.
struct Peeker: Sendable {
    let context: WorkerContext
    let queue: String
    /// Rung when there may be jobs.
    let bell: Bell
    let fetcher: Fetcher

    func run() async {
        let peek = context.configuration.intervals.peek
        let key = SidekiqKey.queue(queue)
        let command = RedisCommand("BLMOVE", key, key, "RIGHT", "RIGHT", "\(peek.inSeconds)")
        while !Task.isCancelled {
            do {
                try await context.redis.withDedicatedConnection { connection in
                    while true {
                        await bell.wait()
                        try Task.checkCancellation()
                        let reply = try await connection.send(command, timeout: peek + .seconds(3))
                        if reply != .null { fetcher.tell { $0.wake() } }
                    }
                }
            } catch {
                // The fetcher still polls every second, and reports what is wrong with Redis.
                try? await context.time.sleep(context.time.now() + .seconds(1))
                bell.ring()
            }
        }
    }
}
