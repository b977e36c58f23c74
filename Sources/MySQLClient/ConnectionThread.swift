import Foundation

/// The one thread of a connection: it runs the actor's jobs in order, and waits in the library's blocking calls so that
/// no shared thread has to.
///
/// Its actor's `deinit` ends it; nothing can be enqueued after that.
final class ConnectionThread: SerialExecutor, @unchecked Sendable {
    private let condition = NSCondition()
    // All three are guarded by `condition`.
    private var jobs: [UnownedJob] = []
    private var isStopped = false
    private var farewell: (@Sendable () -> Void)?

    init() {
        let thread = Thread { [self] in run() }
        thread.name = "mysql"
        // Foundation's default is what the main thread has. TLS and the resolver need the most, and far less than this.
        thread.stackSize = 1 << 20
        thread.start()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        condition.withLock {
            jobs.append(job)
            condition.signal()
        }
    }

    /// Ends the thread after the enqueued jobs and, last, `farewell`.
    func stop(farewell: @escaping @Sendable () -> Void) {
        condition.withLock {
            isStopped = true
            self.farewell = farewell
            condition.signal()
        }
    }

    private func run() {
        // A write through TLS to a server that hung up raises the signal, which would end the process.
        var brokenPipe = sigset_t()
        sigemptyset(&brokenPipe)
        sigaddset(&brokenPipe, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &brokenPipe, nil)
        Library.enterThread()
        defer { Library.leaveThread() }

        // The two arrays change places, so that a job costs no allocation.
        var ready: [UnownedJob] = []
        while true {
            condition.withLock {
                while jobs.isEmpty, !isStopped { condition.wait() }
                swap(&ready, &jobs)
            }
            if ready.isEmpty { break }
            for job in ready { job.runSynchronously(on: asUnownedSerialExecutor()) }
            ready.removeAll(keepingCapacity: true)
        }
        farewell?()
    }
}
