import Foundation

/// One thread of our own that runs tasks one job after the other: the place for a library's blocking calls.
///
/// A task that prefers it (`Task(executorPreference:)`) runs on it wholly, so that a blocking call inside needs no
/// hop to another thread and back, and blocks nobody but the tasks of this executor.
package final class ThreadExecutor: TaskExecutor, @unchecked Sendable {
    private let condition = NSCondition()
    // Both are guarded by `condition`.
    private var jobs: [UnownedJob] = []
    private var isStopped = false

    /// - Parameter name: what debuggers and `top` show; at most 15 characters of it on Linux.
    package init(name: String) {
        let thread = Thread { [self] in run() }
        thread.name = name
        // Foundation's default is what the main thread has; SQL needs far less.
        thread.stackSize = 1 << 20
        thread.start()
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isTaken = condition.withLock {
            if isStopped { return false }
            jobs.append(job)
            condition.signal()
            return true
        }
        // A job is never lost: one that comes too late runs where others do.
        if !isTaken { globalConcurrentExecutor.enqueue(job) }
    }

    /// Ends the thread when it has run what is enqueued.
    package func stop() {
        condition.withLock {
            isStopped = true
            condition.signal()
        }
    }

    private func run() {
        while true {
            var ready: [UnownedJob] = []
            condition.withLock {
                while jobs.isEmpty, !isStopped { condition.wait() }
                swap(&ready, &jobs)
            }
            if ready.isEmpty { return }
            for job in ready { job.runSynchronously(on: asUnownedTaskExecutor()) }
        }
    }
}
