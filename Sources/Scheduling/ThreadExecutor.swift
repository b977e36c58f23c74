import Foundation

/// One thread of our own that runs jobs one after the other: the place for a library's blocking calls, where they hold up
/// no shared thread.
///
/// A task that prefers it (`Task(executorPreference:)`) runs on it wholly, and an actor whose `unownedExecutor` it is does
/// all its work there, so that a blocking call inside needs no hop to another thread and back.
package final class ThreadExecutor: TaskExecutor, SerialExecutor, @unchecked Sendable {
    /// What it runs: Swift has to be told, so that it knows of each job which isolation it has.
    package enum Owner: Sendable { case tasks, actor }

    private let owner: Owner
    private let condition = NSCondition()
    // All three are guarded by `condition`.
    private var jobs: [UnownedJob] = []
    private var isStopped = false
    private var farewell: @Sendable () -> Void = {}

    /// - Parameters:
    ///   - name: what debuggers and `top` show; at most 15 characters of it on Linux.
    ///   - begin: runs first on the thread.
    package init(name: String, for owner: Owner, begin: @escaping @Sendable () -> Void = {}) {
        self.owner = owner
        let thread = Thread { [self] in
            begin()
            run()
        }
        thread.name = name
        // Foundation's default is what the main thread has. TLS and the resolver need the most, and far less than this.
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
        // A task's job is never lost: one that comes too late runs where others do. An actor's never comes too late, as
        // the actor's end is what stops the thread.
        if !isTaken { globalConcurrentExecutor.enqueue(job) }
    }

    /// Ends the thread when it has run what is enqueued, and `farewell` last.
    package func stop(farewell: @escaping @Sendable () -> Void = {}) {
        condition.withLock {
            isStopped = true
            self.farewell = farewell
            condition.signal()
        }
    }

    private func run() {
        // The two arrays change places, so that a job costs no allocation.
        var ready: [UnownedJob] = []
        while true {
            condition.withLock {
                while jobs.isEmpty, !isStopped { condition.wait() }
                swap(&ready, &jobs)
            }
            if ready.isEmpty { break }
            for job in ready {
                switch owner {
                case .tasks: job.runSynchronously(on: asUnownedTaskExecutor())
                case .actor: job.runSynchronously(on: asUnownedSerialExecutor())
                }
            }
            ready.removeAll(keepingCapacity: true)
        }
        farewell()
    }
}
