import NIOCore

/// The state that the connections of one event loop share.
final class LoopState {
    let date = DateHeader()
    let executor: LoopExecutor
    let turns: LoopTurns
    /// The last `Host` that was allowed. Most requests have the same.
    var allowedHost: String?

    init(_ eventLoop: any EventLoop) {
        executor = LoopExecutor(eventLoop)
        turns = LoopTurns(eventLoop)
    }
}

@available(*, unavailable)
extension LoopState: Sendable {}

/// Runs tasks on an event loop.
final class LoopExecutor: TaskExecutor {
    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
