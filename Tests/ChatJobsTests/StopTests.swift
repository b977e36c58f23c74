import ChatCore
import ChatJobs
import Logging
import Metrics
import RedisClient
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct StopTests {
    @Test func whatIsNotDoneInTimeIsPutBack() async throws {
        try await withWorkBench { bench in
            let started = Tally()
            let job = NumberJob { number in
                started.add(number)
                // One job that can be cancelled, and one that ignores it.
                if number == 1 {
                    try await Task.sleep(for: .seconds(600))
                } else {
                    while bench.redis.isConnected { try? await Task.sleep(for: .milliseconds(10)) }
                }
            }
            for number in 1...3 { try await bench.queue.enqueue(NumberJob.self, number) }
            try await bench.withWorker(
                [job],
                {
                    $0.concurrency = 2
                    $0.shutdownTimeout = .milliseconds(200)
                    $0.intervals.lastGrace = .milliseconds(200)
                }
            ) { _ in try await eventually("two have started") { started.distinct == 2 } }
            #expect(try await bench.held() == 0)
            // In their order, and before the one that was never taken.
            let queue = try await bench.call("LRANGE", "queue:default", "0", "-1").array ?? []
            let numbers = try queue.map {
                try JobPayload($0.bytes ?? []).raw("args").map { String(decoding: $0, as: UTF8.self) }
            }
            #expect(numbers == ["[3]", "[2]", "[1]"])
            #expect(try await bench.sets.size(of: .retry) == 0)
            #expect(try await bench.sets.statistics().processed == 0)
        }
    }

    @Test func whatIsInHandMayEnd() async throws {
        try await withWorkBench { bench in
            let (started, ended) = (Tally(), Tally())
            let job = NumberJob { number in
                started.add(number)
                try await Task.sleep(for: .milliseconds(300))
                ended.add(number)
            }
            try await bench.queue.enqueue(NumberJob.self, each: Array(0..<20))
            try await bench.withWorker([job]) { _ in
                try await eventually("ten have started") { started.distinct == 10 }
            }
            #expect(ended.distinct == 10)
            #expect(try await bench.length("queue:default") == 10)
        }
    }

    @Test func aGracefulShutdownStopsIt() async throws {
        try await withWorkBench { bench in
            let started = Tally()
            let worker = Worker(
                WorkerConfiguration(), jobs: JobRegistry([NumberJob { started.add($0) }]), redis: bench.redis,
                logger: silent, metrics: NOOPMetricsHandler.instance)
            let group = ServiceGroup(services: [worker], logger: silent)
            let running = Task { try await group.run() }
            try await bench.queue.enqueue(NumberJob.self, 1)
            try await eventually("it works") { started.distinct == 1 }
            await group.triggerGracefulShutdown()
            try await running.value
            #expect(worker.isQuiet)
            #expect(try await bench.sets.processes().isEmpty)
        }
    }

    @Test func aQuietWorkerTakesNothing() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await bench.withWorker([NumberJob { tally.add($0) }]) { worker in
                try await eventually("it is seen") { try await bench.sets.processes().count == 1 }
                try await bench.sets.signal(worker.identity, "TSTP")
                try await eventually("it is seen to be quiet") {
                    try await bench.sets.processes().first?.isQuiet == true
                }
                #expect(worker.isQuiet)
                try await bench.queue.enqueue(NumberJob.self, 1)
                try await Task.sleep(for: .milliseconds(300))
                #expect(tally.all.isEmpty)
                #expect(try await bench.length("queue:default") == 1)
                try await bench.sets.signal(worker.identity, "TERM")
                try await eventually("it has gone") { try await bench.sets.processes().isEmpty }
            }
        }
    }

    @Test func aDumpTellsWhatIsInHand() async throws {
        try await withWorkBench { bench in
            let lines = Mutex<[String]>([])
            let logger = Logger(label: "test") { _ in LineCollector { line in lines.withLock { $0.append(line) } } }
            let gate = Mutex(false)
            let job = NumberJob { _ in try await eventually("the gate opens") { gate.withLock(\.self) } }
            try await bench.withWorker([job], logger: logger) { worker in
                let jid = try #require(try await bench.queue.enqueue(NumberJob.self, 1))
                try await eventually("it is in hand") { try await bench.held() == 1 }
                try await bench.sets.signal(worker.identity, "TTIN")
                try await eventually("it is told") {
                    lines.withLock { $0.contains { $0.contains("Job running") && $0.contains(jid) } }
                }
                gate.withLock { $0 = true }
            }
        }
    }
}

/// A log handler that passes each line on.
struct LineCollector: LogHandler {
    let take: @Sendable (String) -> Void
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    init(take: @escaping @Sendable (String) -> Void) { self.take = take }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { take("\(event.level) \(event.message) \(event.metadata ?? [:])") }
}
