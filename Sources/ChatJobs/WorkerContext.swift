import ChatCore
import Logging
import RedisClient

/// The shared state of one worker's parts.
struct WorkerContext: Sendable {
    /// `<host>:<pid>:<12 hex>`, without a space.
    let identity: String
    let configuration: WorkerConfiguration
    let redis: RedisClient
    let clock: RedisClock
    let time: Timekeeper
    let logger: Logger
    let outage: Outage

    var format: SidekiqFormat { configuration.format }
    /// In the configuration's order.
    var queues: [String] { configuration.queues.map(\.name) }

    func heldKey(_ queue: String) -> String { SidekiqKey.held(identity, queue) }

    func holder(_ queue: String) -> String { "\(identity) \(queue)" }
}

extension Timekeeper {
    /// Calls `body` now, and again after each interval or ring, until the task is cancelled.
    func repeating(
        every interval: @escaping @Sendable () -> Duration, or bell: Bell = Bell(), _ body: @Sendable () async -> Void
    ) async {
        await withTaskGroup { group in
            group.addTask {
                while !Task.isCancelled {
                    try? await sleep(now() + interval())  // A cancellation cuts it short.
                    bell.ring()
                }
            }
            while !Task.isCancelled {
                await body()
                await bell.wait()
            }
            group.cancelAll()
        }
    }
}
