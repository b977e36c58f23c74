import ChatCore
import ChatJobs
import RedisClient
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct WorkerTests {
    @Test func performsWhatIsEnqueued() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            let orders = Mutex<[OrderJob.Arguments]>([])
            let jobs: [any Job] = [
                NumberJob { tally.add($0) }, OrderJob { order in orders.withLock { $0.append(order) } },
            ]
            try await bench.withWorker(jobs, { $0.queues = [.init("default"), .init("orders")] }) { _ in
                try await bench.queue.enqueue(NumberJob.self, 1)
                try await bench.queue.enqueue(NumberJob.self, at: 2, in: .milliseconds(300))
                try await bench.queue.enqueue(OrderJob.self, .init(id: 7, name: "ü\"\u{1}"))
                try await bench.queue.enqueue(named: "Old::NumberJob", arguments: Array("[3]".utf8))
                try await eventually("all are performed") { tally.distinct == 3 && orders.withLock(\.count) == 1 }
                #expect(orders.withLock(\.self) == [.init(id: 7, name: "ü\"\u{1}")])
            }
            #expect(try await bench.held() == 0)
            #expect(try await bench.sets.statistics().processed == 4)
        }
    }

    @Test func tenThousandAreAllPerformed() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await bench.queue.enqueue(NumberJob.self, each: Array(0..<10_000))
            try await bench.withWorker([NumberJob { tally.add($0) }]) { _ in
                try await eventually("all are performed") { tally.distinct == 10_000 }
            }
            #expect(tally.all.count == 10_000)
            #expect(try await bench.held() == 0)
            #expect(try await bench.length("queue:default") == 0)
            #expect(try await bench.sets.statistics().processed == 10_000)
            #expect(try await bench.call("SCARD", "luciq:holders").integer == 0)
            #expect(try await bench.call("SCARD", "processes").integer == 0)
        }
    }

    @Test func neverMoreInHandThanSlots() async throws {
        try await withWorkBench { bench in
            let inHand = Mutex((now: 0, most: 0))
            let done = Tally()
            let job = NumberJob { number in
                inHand.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                try await Task.sleep(for: .milliseconds(2))
                inHand.withLock { $0.now -= 1 }
                done.add(number)
            }
            try await bench.queue.enqueue(NumberJob.self, each: Array(0..<500))
            try await bench.withWorker([job], { $0.concurrency = 7 }) { _ in
                while done.distinct < 500 {
                    #expect(try await bench.held() <= 7)
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
            #expect(inHand.withLock(\.most) == 7)
        }
    }

    @Test func oneMegabyteIsCarried() async throws {
        struct TextJob: Job {
            static let name = "TextJob"
            let seen: @Sendable (String) -> Void
            func perform(_ text: [String]) async throws { seen(text[0]) }
        }
        try await withWorkBench { bench in
            let seen = Mutex("")
            let text = String(repeating: "a\"é", count: 250_000)
            try await bench.queue.enqueue(TextJob.self, [text])
            try await bench.withWorker([TextJob { text in seen.withLock { $0 = text } }]) { _ in
                try await eventually("it is performed") { !seen.withLock(\.isEmpty) }
            }
            #expect(seen.withLock(\.self) == text)
            #expect(try await bench.held() == 0)
        }
    }

    @Test func equalJobsAreEnqueuedOnce() async throws {
        try await withWorkBench { bench in
            #expect(try await bench.queue.enqueue(NumberJob.self, 1, uniqueFor: .seconds(60)) != nil)
            #expect(try await bench.queue.enqueue(NumberJob.self, 1, uniqueFor: .seconds(60)) == nil)
            #expect(try await bench.queue.enqueue(NumberJob.self, 2, uniqueFor: .milliseconds(50)) != nil)
            let later = WallClock.system.now().adding(.seconds(60))
            #expect(try await bench.queue.enqueue(NumberJob.self, 3, at: later, uniqueFor: .seconds(60)) != nil)
            #expect(try await bench.queue.enqueue(NumberJob.self, 3, uniqueFor: .seconds(60)) == nil)
            #expect(try await bench.length("queue:default") == 2)
            #expect(try await bench.sets.size(of: .schedule) == 1)
            try await eventually("the lock has gone") {
                try await bench.queue.enqueue(NumberJob.self, 2, uniqueFor: .seconds(60)) != nil
            }
        }
    }

    @Test func queuesAreTakenInOrder() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            for number in 0..<20 { try await bench.queue.enqueue(NumberJob.self, number, queue: "low") }
            for number in 100..<120 { try await bench.queue.enqueue(NumberJob.self, number, queue: "high") }
            try await bench.withWorker(
                [NumberJob { tally.add($0) }],
                {
                    $0.queues = [.init("high"), .init("low")]
                    $0.concurrency = 1
                }
            ) { _ in try await eventually("all are performed") { tally.distinct == 40 } }
            #expect(tally.all == Array(100..<120) + Array(0..<20))
        }
    }

    @Test func weightedQueuesDoNotStarve() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            for number in 0..<200 { try await bench.queue.enqueue(NumberJob.self, number, queue: "often") }
            for number in 1000..<1200 { try await bench.queue.enqueue(NumberJob.self, number, queue: "seldom") }
            try await bench.withWorker(
                [NumberJob { tally.add($0) }],
                {
                    $0.queues = [.init("often", weight: 3), .init("seldom", weight: 1)]
                    $0.concurrency = 1
                }
            ) { _ in try await eventually("all are performed") { tally.distinct == 400 } }
            let seldom = tally.all.prefix(200).count { $0 >= 1000 }
            // 50 on average; that it is outside of these bounds by chance happens once in a billion times.
            #expect((15..<90).contains(seldom))
        }
    }

    @Test func activeJobsAreUnwrapped() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            for (number, wrapper) in [
                "Sidekiq::ActiveJob::Wrapper", "ActiveJob::QueueAdapters::SidekiqAdapter::JobWrapper",
            ]
            .enumerated() {
                try await bench.push(
                    """
                    {"retry":true,"queue":"default","wrapped":"NumberJob","class":"\(wrapper)","args":[ {"job_class":\
                    "NumberJob","job_id":"x","arguments":[\(number)],"executions":0} ],"jid":"\(number)"}
                    """)
            }
            try await bench.withWorker([NumberJob { tally.add($0) }]) { _ in
                try await eventually("both are performed") { tally.distinct == 2 }
            }
        }
    }

    @Test func aWorkerIsSeen() async throws {
        try await withWorkBench { bench in
            let gate = Mutex(false)
            let job = NumberJob { _ in
                try await eventually("the gate opens") { gate.withLock(\.self) }
            }
            try await bench.withWorker([job], { $0.tag = "shop" }) { worker in
                try await bench.queue.enqueue(NumberJob.self, 5)
                try await eventually("the work is seen") { try await bench.sets.work().count == 1 }
                let work = try #require(try await bench.sets.work().first)
                #expect(work.identity == worker.identity)
                #expect(work.job == "NumberJob")
                let process = try #require(try await bench.sets.processes().first)
                #expect(process.identity == worker.identity)
                #expect(process.tag == "shop")
                #expect(process.queues == ["default"])
                #expect(process.busy == 1)
                #expect(process.concurrency == 10)
                #expect(process.residentKilobytes > 0)
                #expect(!process.isQuiet)
                gate.withLock { $0 = true }
                try await eventually("it is idle") { try await bench.sets.processes().first?.busy == 0 }
            }
            #expect(try await bench.sets.processes().isEmpty)
        }
    }
}

extension JobQueue {
    func enqueue<J: Job>(_ job: J.Type, at arguments: J.Arguments, in delay: Duration) async throws {
        try await enqueue(job, arguments, at: WallClock.system.now().adding(delay))
    }
}
