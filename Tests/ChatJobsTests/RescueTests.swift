import ChatCore
import ChatJobs
import RedisClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RescueTests {
    private static let ghost = "elsewhere:1:abcdefabcdef"

    /// The held list of a process that died with jobs in progress: the newest on the left.
    private func leaveBehind(_ bench: WorkBench, _ payloads: [String], queue: String = "default") async throws {
        try await bench.call("SADD", "processes", Self.ghost)
        try await bench.call("SADD", "luciq:holders", "\(Self.ghost) \(queue)")
        for payload in payloads { try await bench.call("LPUSH", "luciq:held:\(Self.ghost):\(queue)", payload) }
    }

    private func payload(_ number: Int) -> String {
        "{\"class\":\"NumberJob\",\"args\":[\(number)],\"jid\":\"j\(number)\",\"retry\":true}"
    }

    @Test func whatTheDeadHeldIsPerformed() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await leaveBehind(bench, [payload(1), payload(2), payload(3)])
            try await bench.withWorker([NumberJob { tally.add($0) }], { $0.concurrency = 1 }) { _ in
                try await eventually("all are performed") { tally.distinct == 3 }
                try await eventually("it is forgotten") {
                    let holders = try await bench.call("SISMEMBER", "luciq:holders", "\(Self.ghost) default").integer
                    let process = try await bench.call("SISMEMBER", "processes", Self.ghost).integer
                    return holders == 0 && process == 0
                }
            }
            #expect(tally.all.sorted() == [1, 2, 3])
            #expect(try await bench.call("GET", "luciq:deaths:j1").integer == 1)
            #expect(try await bench.call("TTL", "luciq:deaths:j1").integer ?? 0 > 250_000)
        }
    }

    /// Any worker rescues, even into a queue that it does not work on itself.
    @Test func queuesOfOthersAreRescuedToo() async throws {
        try await withWorkBench { bench in
            try await leaveBehind(bench, [payload(1)], queue: "of others")
            try await bench.withWorker([NumberJob { _ in }]) { _ in
                try await eventually("it is queued again") { try await bench.length("queue:of others") == 1 }
            }
            #expect(try await bench.call("SISMEMBER", "queues", "of others").integer == 1)
        }
    }

    @Test func whoLivesKeepsItsJobs() async throws {
        try await withWorkBench { bench in
            try await leaveBehind(bench, [payload(1)])
            try await bench.call("HSET", Self.ghost, "beat", "1")
            let tally = Tally()
            try await bench.withWorker([NumberJob { tally.add($0) }]) { _ in
                // Two looks have been taken when its lock has been there twice.
                for _ in 0..<2 {
                    try await eventually("a look is taken") {
                        try await bench.call("EXISTS", "luciq:rescue").integer == 1
                    }
                    try await eventually("it is over") { try await bench.call("EXISTS", "luciq:rescue").integer == 0 }
                }
                #expect(tally.all.isEmpty)
                #expect(try await bench.length("luciq:held:\(Self.ghost):default") == 1)
                // Once its presence expires it is rescued.
                try await bench.call("PEXPIRE", Self.ghost, "1")
                try await eventually("it is performed") { tally.all == [1] }
            }
        }
    }

    @Test func aJobThatKillsItsProcessesIsBuried() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await bench.withWorker([NumberJob { tally.add($0) }]) { _ in
                for deaths in 1...2 {
                    try await leaveBehind(bench, [payload(1)])
                    try await eventually("it is performed again") { tally.count(1) == deaths }
                }
                try await leaveBehind(bench, [payload(1)])
                let entry = try #require(try await bench.entries(.dead, 1).first)
                #expect(entry.jid == "j1")
                #expect(entry.errorMessage == "its process died while it ran, 3 times")
                #expect(entry.queue == "default")
                #expect(tally.count(1) == 2)
                // From the dead it comes with a clean record.
                #expect(try await bench.sets.requeue(entry))
                try await eventually("it is performed") { tally.count(1) == 3 }
            }
        }
    }

    /// A job that cannot be put back stays where it is, is not counted as a death, and does not delay other jobs.
    @Test func aQueueThatIsNoneLosesNothing() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await bench.call("SET", "queue:odd", "something else")
            try await leaveBehind(bench, [payload(7)], queue: "odd")
            try await bench.withWorker([NumberJob { tally.add($0) }], { $0.queues = [.init("default"), .init("odd")] })
            { _ in
                // In whatever order holders are looked at, by the fifth both were, many times.
                for number in 1...5 {
                    try await leaveBehind(bench, [payload(number)])
                    try await eventually("it is rescued") { tally.count(number) == 1 }
                }
                #expect(try await bench.length("luciq:held:\(Self.ghost):odd") == 1)
                #expect(try await bench.call("EXISTS", "luciq:deaths:j7").integer == 0)
                try await bench.call("DEL", "queue:odd")
                try await eventually("it is rescued too") { tally.count(7) == 1 }
            }
            #expect(try await bench.sets.size(of: .dead) == 0)
        }
    }

    @Test func whatIsNoJobIsRescuedAndBuried() async throws {
        try await withWorkBench { bench in
            try await leaveBehind(bench, ["no job"])
            try await bench.withWorker([NumberJob { _ in }]) { _ in
                let dead = try await bench.entries(.dead, 1)
                #expect(dead.first?.arguments == "[\"no job\"]" && dead.first?.jid != nil)
            }
        }
    }

    /// A process that was frozen for longer than its presence lasts takes no job before its presence is written again.
    @Test func whoWasGivenUpComesBack() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await bench.withWorker([NumberJob { tally.add($0) }], { $0.intervals.beat = .seconds(60) }) { worker in
                try await eventually("it is seen") { try await bench.call("EXISTS", worker.identity).integer == 1 }
                try await bench.call("DEL", worker.identity, "luciq:holders")
                try await bench.queue.enqueue(NumberJob.self, 1)
                try await eventually("it is performed") { tally.all == [1] }
                #expect(try await bench.call("EXISTS", worker.identity).integer == 1)
                #expect(try await bench.call("SCARD", "luciq:holders").integer == 1)
            }
        }
    }

    /// When a frozen process resumes, it no longer owns the jobs that it held.
    @Test func whatWasRescuedMeanwhileIsLeftToItsRescuer() async throws {
        try await withWorkBench { bench in
            let (started, mayEnd) = (Tally(), Tally())
            let job = NumberJob { number in
                started.add(number)
                try await eventually("it may end") { mayEnd.distinct == 1 }
                throw Broken()
            }
            try await bench.push(payload(1))
            try await bench.withWorker([job]) { worker in
                try await eventually("it has started") { started.count(1) == 1 }
                try await bench.call("DEL", "luciq:held:\(worker.identity):default")
                mayEnd.add(1)
            }
            #expect(try await bench.sets.size(of: .retry) == 0)
        }
    }

    /// The reply with a job was lost: the job is in the held list, and no worker has seen it.
    @Test func whatWasNeverSeenIsPerformed() async throws {
        try await withWorkBench { bench in
            let (started, ended) = (Tally(), Tally())
            let job = NumberJob { number in
                started.add(number)
                if number == 1 { try await eventually("the other has ended") { ended.count(2) == 1 } }
                ended.add(number)
            }
            try await bench.push(payload(1))
            try await bench.withWorker([job]) { worker in
                try await eventually("it has started") { started.count(1) == 1 }
                try await bench.call("LPUSH", "luciq:held:\(worker.identity):default", payload(2))
                try await eventually("both have ended") { ended.distinct == 2 }
            }
            // The running job was not taken for a lost one.
            #expect(started.all.count == 2)
            #expect(try await bench.held() == 0)
        }
    }

    @Test func twoWorkersShareTheWork() async throws {
        try await withWorkBench { bench in
            let (left, right) = (Tally(), Tally())
            try await bench.withWorker([NumberJob { left.add($0) }]) { _ in
                try await bench.withWorker([NumberJob { right.add($0) }]) { _ in
                    try await eventually("both are seen") { try await bench.sets.processes().count == 2 }
                    try await bench.queue.enqueue(NumberJob.self, each: Array(0..<4000))
                    try await eventually("all are performed") { left.all.count + right.all.count >= 4000 }
                }
            }
            #expect(Set(left.all + right.all).count == 4000)
            #expect(left.all.count + right.all.count == 4000)
            #expect(left.distinct > 0 && right.distinct > 0)
            #expect(try await bench.held() == 0)
        }
    }
}
