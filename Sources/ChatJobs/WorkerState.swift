import ChatCore

/// The state machine of a worker, without Redis, tasks or a clock. `Worker` acts on its decisions.
///
/// The contract: a fetched job stays in our held list in Redis until it is acknowledged, moved to another set, or put back.
/// `held` is what we know of that list. After a lost reply the list may hold more (`isSuspect`), and is audited before the
/// next fetch. The worker never fetches more jobs than it has free slots: every held job runs.
struct WorkerState: Sendable {
    /// The fetcher's next step.
    enum Step: Sendable {
        /// Acknowledge these jobs, and take up to this many new ones.
        case fetch(upTo: Int, acknowledging: [HeldJob])
        /// Compare the held lists with `held`.
        case audit
        /// Wait until something changes.
        case wait
        /// Cancel the running jobs.
        case cancel
        /// Stop fetching for good.
        case end
    }

    private enum Phase {
        case running
        /// Takes no more jobs.
        case quiet
        case stopping(deadline: Duration)
        /// The jobs were cancelled.
        case cancelling(deadline: Duration, isTold: Bool)
    }

    /// Whether there is something to fetch, until `wake`.
    private enum Supply {
        /// There may be something.
        case open
        /// All queues were empty at the last fetch.
        case dry
        /// Redis does not answer.
        case away
    }

    private let concurrency: Int
    private let lastGrace: Duration
    private var phase = Phase.running
    private var running: [UInt64: HeldJob] = [:]
    /// Finished jobs without a confirmed acknowledgement.
    private var finished: [HeldJob] = []
    private var lastID: UInt64 = 0
    private var supply = Supply.open
    private var isSuspect = false
    /// Whether our heartbeat is in Redis.
    private var isPresent = false

    init(concurrency: Int, lastGrace: Duration) {
        self.concurrency = concurrency
        self.lastGrace = lastGrace
    }

    /// The running jobs, oldest first.
    var inHand: [HeldJob] { running.values.sorted { $0.id < $1.id } }
    var busy: Int { running.count }
    /// The held lists, as far as we know.
    var held: [HeldJob] { inHand + finished }
    /// The finished jobs that are not acknowledged.
    var unacknowledged: [HeldJob] { finished }

    /// Whether jobs that end from now on stay in the held lists, to be put back together.
    private var isCancelling: Bool { if case .cancelling = phase { true } else { false } }

    var isQuiet: Bool { if case .running = phase { false } else { true } }
    /// Whether the peeker should wait for jobs.
    var isIdle: Bool { supply == .dry && !isQuiet && running.count < concurrency && isPresent }

    mutating func next(now: Duration) -> Step {
        switch phase {
        case .stopping(let deadline):
            if running.isEmpty, finished.isEmpty { return .end }
            if now >= deadline { phase = .cancelling(deadline: now + lastGrace, isTold: false) }
        case .running, .quiet, .cancelling: break
        }
        if case .cancelling(let deadline, let isTold) = phase {
            phase = .cancelling(deadline: deadline, isTold: true)
            if !isTold { return .cancel }
            // The last step acknowledges the rest.
            if running.isEmpty || now >= deadline { return .end }
        }
        if supply == .away { return .wait }
        if isSuspect, !isCancelling { return .audit }
        let free = isQuiet || !isPresent ? 0 : concurrency - running.count
        if finished.isEmpty, free == 0 || supply == .dry { return .wait }
        return .fetch(upTo: free, acknowledging: finished)
    }

    /// - Parameter acknowledged: how many of the finished jobs were acknowledged, the oldest first.
    /// - Returns: the jobs to start.
    mutating func fetched(_ jobs: [FetchedJob], asked: Int, acknowledged: Int, now: Timestamp) -> [HeldJob] {
        finished.removeFirst(acknowledged)
        if asked > 0 { supply = jobs.count < asked ? .dry : .open }
        return jobs.map { job in
            lastID += 1
            let held = HeldJob(id: lastID, queue: job.queue, payload: job.payload, since: now)
            running[lastID] = held
            return held
        }
    }

    /// - Parameter isUnknown: whether it may have taken effect.
    mutating func fetchFailed(isUnknown: Bool) {
        supply = .away
        if isUnknown { isSuspect = true }
    }

    /// Our heartbeat has expired in Redis: a beat must come first.
    mutating func absent(acknowledged: Int) {
        finished.removeFirst(acknowledged)
        isPresent = false
    }

    mutating func present() { isPresent = true }

    mutating func audited() { isSuspect = false }

    /// Jobs in the held lists that are not in `held`.
    func strays(among jobs: [FetchedJob]) -> [FetchedJob] {
        var known: [[UInt8]: Int] = [:]
        for job in held { known[job.payload, default: 0] += 1 }
        return jobs.filter { job in
            guard let count = known[job.payload], count > 0 else { return true }
            known[job.payload] = count - 1
            return false
        }
    }

    /// A job has ended.
    ///
    /// - Parameter isDone: whether to acknowledge it. If not, it has left the held list, or stays there to be put back
    ///   at the end.
    mutating func ended(_ id: UInt64, isDone: Bool) {
        guard let job = running.removeValue(forKey: id), isDone else { return }
        finished.append(job)
    }

    /// Something has changed outside: there may be a job, Redis may be back.
    mutating func wake() { supply = .open }

    /// The held lists may contain jobs that we do not know of.
    mutating func suspect() { isSuspect = true }

    mutating func quiet() { if case .running = phase { phase = .quiet } }

    /// - Parameter deadline: when jobs that still run are cancelled. A second stop may only make it earlier.
    mutating func stop(deadline: Duration) {
        switch phase {
        case .running, .quiet: phase = .stopping(deadline: deadline)
        case .stopping(let earlier): phase = .stopping(deadline: min(earlier, deadline))
        case .cancelling: break
        }
    }
}
