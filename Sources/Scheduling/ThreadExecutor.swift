import Foundation

/// A separate thread that runs jobs one after the other, for a library's blocking calls, which must not block shared
/// threads.
///
/// A task that prefers it (`Task(executorPreference:)`) runs on it completely, and an actor with this `unownedExecutor`
/// does all its work there, so that a blocking call needs no hop to another thread and back.
package final class ThreadExecutor: TaskExecutor, SerialExecutor, @unchecked Sendable {
    /// A job with its kind, because Swift needs to know each job's isolation.
    package enum Owner: Sendable { case tasks, actor }

    package enum Priority: Sendable {
        case normal
        /// Others go first: a tenth of their processor time on Linux, the quality of service "utility" on macOS.
        case low
    }

    private let owner: Owner
    private let condition = NSCondition()
    // All three are guarded by `condition`.
    private var jobs: [UnownedJob] = []
    private var isStopped = false
    private var farewell: @Sendable () -> Void = {}

    /// - Parameters:
    ///   - name: shown by debuggers and `top`; at most 15 characters of it on Linux.
    ///   - begin: runs first on the thread.
    package init(
        name: String, for owner: Owner, priority: Priority = .normal, begin: @escaping @Sendable () -> Void = {}
    ) {
        self.owner = owner
        let thread = Thread { [self] in
            // By the thread itself, and not by Foundation: that names nothing until `start` has returned.
            #if canImport(Darwin)
                pthread_setname_np(name)
            #else
                if let file = fopen("/proc/thread-self/comm", "w") {
                    fputs(String(name.prefix(15)), file)
                    fclose(file)
                }
            #endif
            #if os(Linux)
                // On Linux the call concerns the thread alone: setpriority(2), "C library/kernel differences".
                if priority == .low { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10) }
            #endif
            begin()
            run()
        }
        #if canImport(Darwin)
            if priority == .low { thread.qualityOfService = .utility }
        #endif
        // Foundation's default is the main thread's size. TLS and the resolver need the most, and far less than this.
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
        // A task's job is never lost: a late one runs on the shared threads. An actor's is never late, because the
        // actor's end stops the thread.
        if !isTaken { globalConcurrentExecutor.enqueue(job) }
    }

    /// Ends the thread after it has run the enqueued jobs, and `farewell` last.
    package func stop(farewell: @escaping @Sendable () -> Void = {}) {
        condition.withLock {
            isStopped = true
            self.farewell = farewell
            condition.signal()
        }
    }

    private func run() {
        // Swap the two arrays, so that a job costs no allocation.
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
