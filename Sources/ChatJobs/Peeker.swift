import ChatCore
import RedisClient

/// Looks out for jobs of one queue while the worker has nothing to do.
///
/// It blocks on a move of the queue's last job to where it stands already, which changes nothing: unlike a blocking pop
/// it takes no job into the hands of a process that may die in that moment, and unlike a blocking move into a held list
/// it works for any number of queues, in whatever order. What it finds is fetched by the script.
struct Peeker: Sendable {
    let context: WorkerContext
    let queue: String
    /// Rung when there is reason to look.
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
                // The fetcher looks every second all the same, and says what is wrong with Redis.
                try? await context.time.sleep(context.time.now() + .seconds(1))
                bell.ring()
            }
        }
    }
}
