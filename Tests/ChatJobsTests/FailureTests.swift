import ChatCore
import RedisClient
import TestSupport
import Testing

@testable import ChatJobs

@Suite(.timeLimit(.minutes(3))) struct FailureTests {
    @Test func aFailedJobIsTriedAgainAndDies() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            let job = OrderJob { order in
                tally.add(order.id)
                throw Broken()
            }
            try await bench.queue.enqueue(OrderJob.self, .init(id: 1, name: "x"))
            let start = WallClock.system.now()
            try await bench.withWorker([job], { $0.queues = [.init("orders")] }) { _ in
                for attempt in 0..<3 {
                    let entry = try #require(try await bench.entries(.retry, 1).first)
                    #expect(entry.retryCount == attempt)
                    #expect(entry.errorClass == "Broken")
                    #expect(entry.errorMessage == "it is broken")
                    #expect(entry.queue == "orders")
                    #expect((entry.payload?.time("retried_at") == nil) == (attempt == 0))
                    let failedAt = try #require(entry.payload?.time("failed_at"))
                    #expect(failedAt >= start.adding(.milliseconds(-1)))
                    #expect(entry.at > start.adding(.seconds(14)))
                    // Its time has come.
                    try await bench.call("ZADD", "retry", "XX", "1", String(decoding: entry.bytes, as: UTF8.self))
                    try await eventually("it is performed again") { tally.count(1) == attempt + 2 }
                }
                let dead = try #require(try await bench.entries(.dead, 1).first)
                #expect(dead.retryCount == 3)
                #expect(try await bench.sets.size(of: .retry) == 0)
            }
            let statistics = try await bench.sets.statistics()
            #expect(statistics.processed == 4)
            #expect(statistics.failed == 4)
            #expect(try await bench.held() == 0)
        }
    }

    enum Place { case retry, dead, nowhere }

    @Test(arguments: [
        ("\"retry\":true", Place.retry), ("\"retry\":1", .retry), ("\"retry\":0", .dead), ("\"retry\":false", .nowhere),
        ("\"retry\":0,\"dead\":false", .nowhere), ("\"retry\":true,\"dead\":false", .retry), ("\"x\":1", .retry),
        ("\"retry\":5,\"retry_count\":4", .dead), ("\"retry\":5,\"retry_count\":3", .retry),
        ("\"retry\":\"many\",\"retry_count\":\"some\"", .retry),
        ("\"retry\":true,\"retry_count\":99999999999999999999", .retry),
        ("\"retry\":true,\"retry_count\":9223372036854775807", .dead), ("\"retry_for\":60", .retry),
        ("\"retry_for\":60,\"retry\":0", .retry),
        ("\"retry_for\":60,\"failed_at\":1700000000000,\"retry_count\":1", .dead),
        ("\"retry_for\":60,\"failed_at\":1700000000.5,\"retry_count\":1", .dead),
    ])
    func whereAFailedJobGoes(_ options: String, _ place: Place) async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            let job = NumberJob { number in
                tally.add(number)
                throw Broken()
            }
            try await bench.push("{\"class\":\"NumberJob\",\"args\":[1],\"jid\":\"a\",\(options)}")
            try await bench.withWorker([job]) { _ in
                try await eventually("it has failed and is settled") {
                    let isHeld = try await bench.held() > 0
                    return tally.count(1) == 1 && !isHeld
                }
                #expect(try await bench.sets.size(of: .retry) == (place == .retry ? 1 : 0))
                #expect(try await bench.sets.size(of: .dead) == (place == .dead ? 1 : 0))
            }
        }
    }

    @Test func whatWeDoNotKnowIsKeptByteForByte() async throws {
        try await withWorkBench { bench in
            let before =
                #"{"class":"NumberJob","bid":1.0,"args":[ 1 ],"big":123456789012345678901234567890,"e":"\u00e9\/","o":{"b":1, "a":[]},"retry":true,"retry_queue":"slow","backtrace":true}"#
            try await bench.push(before)
            try await bench.withWorker([NumberJob { _ in throw Broken() }]) { _ in
                let entry = try #require(try await bench.entries(.retry, 1).first)
                let text = String(decoding: entry.bytes, as: UTF8.self)
                #expect(text.hasPrefix(before.dropLast()))
                #expect(entry.queue == "slow")
                let trace = try #require(entry.payload?.string("error_backtrace"))
                #expect(trace.hasPrefix("eAEB"))
            }
        }
    }

    @Test(arguments: [
        "", " ", "{", "null", "[]", "\"x\"", "5", "{}", "{\"class\":\"NumberJob\"}", "{\"args\":[1]}",
        "{\"class\":5,\"args\":[1]}", "{\"class\":null,\"args\":[1]}", "{\"class\":\"NumberJob\",\"args\":{\"a\":1}}",
        "{\"class\":\"NumberJob\",\"args\":\"1\"}", "{\"class\":\"NumberJob\",\"args\":[1],}",
        "{\"class\":\"NumberJob\",\"args\":[1]} x", "{\"class\":\"NumberJob\",\"args\":[NaN]}",
        "{\"class\":\"NumberJob\",\"args\":[\"\\ud800\"]}",
        String(repeating: "[", count: 100_000), "{\"a\":" + String(repeating: "[", count: 200) + "}",
    ])
    func whatIsNoJobGoesToTheDead(_ text: String) async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await bench.push(text)
            try await bench.queue.enqueue(NumberJob.self, 5)
            try await bench.withWorker([NumberJob { tally.add($0) }]) { _ in
                try await eventually("the good one is performed") { tally.all == [5] }
                let entry = try #require(try await bench.entries(.dead, 1).first)
                #expect(entry.errorClass == "Malformed")
                #expect(entry.jid != nil && entry.queue == "default")
                if (try? JobPayload(Array(text.utf8))) != nil {
                    #expect(entry.errorMessage?.contains("the job has no") == true)
                } else {
                    #expect(entry.arguments == String(decoding: JSONText.bytes(text), as: UTF8.self).inBrackets)
                }
            }
            #expect(try await bench.held() == 0)
        }
    }

    @Test func bytesThatAreNoTextGoToTheDead() async throws {
        try await withWorkBench { bench in
            let bytes = Array("{\"class\":\"NumberJob\",\"args\":[\"".utf8) + [0xFF, 0xC0, 0] + Array("\"]}".utf8)
            try await bench.push(bytes)
            try await bench.withWorker([NumberJob { _ in }]) { _ in
                let dead = try await bench.entries(.dead, 1)
                #expect(dead.first?.arguments.contains("NumberJob") == true)
                #expect(dead.first?.errorMessage == "the job is not valid UTF-8")
            }
            #expect(try await bench.held() == 0)
        }
    }

    @Test func aJobThatNobodyKnowsIsTriedAgain() async throws {
        try await withWorkBench { bench in
            try await bench.queue.enqueue(named: "Some::Ruby")
            try await bench.withWorker([NumberJob { _ in }]) { _ in
                let entry = try #require(try await bench.entries(.retry, 1).first)
                #expect(entry.errorClass == "NameError")
                #expect(entry.errorMessage == "uninitialized constant Some::Ruby: no job of this name is known here")
            }
        }
    }

    @Test(arguments: ["[]", "[\"1\"]", "[1,2]", "[null]", "[1.5]", "[[1]]", "[99999999999999999999]"])
    func wrongArgumentsAreNamed(_ arguments: String) async throws {
        try await withWorkBench { bench in
            try await bench.queue.enqueue(named: "NumberJob", arguments: Array(arguments.utf8))
            try await bench.withWorker([NumberJob { _ in Issue.record("it was performed") }]) { _ in
                let entry = try #require(try await bench.entries(.retry, 1).first)
                #expect(entry.errorClass == "WrongArguments")
                #expect(
                    entry.errorMessage?.hasPrefix("NumberJob takes Int, and that is not what its arguments are: ")
                        == true)
            }
        }
    }

    @Test func aMalformedScheduledEntryStopsNobody() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await bench.call(
                "ZADD", "schedule", "1", "no job", "2", "{\"class\":\"NumberJob\",\"args\":[4],\"at\":2}")
            try await bench.withWorker([NumberJob { tally.add($0) }]) { _ in
                try await eventually("the good one is performed") { tally.all == [4] }
                #expect(try await bench.entries(.dead, 1).first?.arguments == "[\"no job\"]")
            }
        }
    }

    @Test func anEntryThatCannotBeMovedStopsNobody() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await bench.call("SET", "queue:odd", "something else")
            for set in ["retry", "schedule"] {
                let number = set == "retry" ? 1 : 2
                try await bench.call(
                    "ZADD", set, "1", "{\"class\":\"NumberJob\",\"args\":[0],\"queue\":\"odd\"}",
                    "2", "{\"class\":\"NumberJob\",\"args\":[\(number)]}")
            }
            try await bench.withWorker([NumberJob { tally.add($0) }]) { _ in
                try await eventually("the good ones are performed") { tally.distinct == 2 }
            }
            #expect(try await bench.sets.size(of: .retry) == 1)
            #expect(try await bench.sets.size(of: .schedule) == 1)
        }
    }

    @Test func aSetThatCannotBeReadStopsNoOther() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await bench.call("SET", "retry", "something else")
            try await bench.call("ZADD", "schedule", "1", #"{"class":"NumberJob","args":[1]}"#)
            try await bench.withWorker([NumberJob { tally.add($0) }]) { _ in
                try await eventually("what was scheduled is performed") { tally.distinct == 1 }
            }
        }
    }

    /// A worker that cannot write its presence takes no jobs, and logs the reason once.
    @Test func aPresenceThatIsRefusedIsNoPresence() async throws {
        try await withWorkBench { bench in
            let (tally, log) = (Tally(), CronLog())
            try await bench.call("SET", "luciq:holders", "something else")
            try await bench.queue.enqueue(NumberJob.self, 1)
            try await bench.withWorker([NumberJob { tally.add($0) }], logger: log.logger) { _ in
                try await eventually("it is told") { !log.warnings.isEmpty }
                try await Task.sleep(for: .milliseconds(500))
                #expect(tally.distinct == 0)
                let refusals = log.warnings.filter { $0.contains("WRONGTYPE") && $0.contains("(SADD luciq:holders)") }
                #expect(refusals.count == 1)
                try await bench.call("DEL", "luciq:holders")
                try await eventually("it goes on") { tally.distinct == 1 }
            }
        }
    }

    @Test func aStatisticThatIsRefusedSpoilsNoOther() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await bench.call("SET", "stat:processed", "many")
            try await bench.queue.enqueue(NumberJob.self, each: [1, 2, 3])
            try await bench.withWorker([NumberJob { tally.add($0) }]) { _ in
                try await eventually("they are performed") { tally.distinct == 3 }
                try await Task.sleep(for: .milliseconds(500))
                try await bench.queue.enqueue(NumberJob.self, 4)
                try await eventually("so is a later one") { tally.distinct == 4 }
            }
            let keys = try await bench.call("KEYS", "stat:processed:*").array ?? []
            var sum: Int64 = 0
            for key in keys { sum += try await bench.call("GET", key.string ?? "").integer ?? 0 }
            #expect(sum == 4)
            #expect(try await bench.call("GET", "stat:processed").string == "many")
        }
    }

    @Test func aWrongTypeInRedisLosesNothing() async throws {
        try await withWorkBench { bench in
            let tally = Tally()
            try await bench.call("SET", "retry", "something else")
            try await bench.call("SET", "queue:odd", "something else")
            try await bench.queue.enqueue(NumberJob.self, 1)
            let job = NumberJob { number in
                tally.add(number)
                throw Broken()
            }
            try await bench.withWorker([job], { $0.queues = [.init("odd"), .init("default")] }) { _ in
                try await eventually("it has failed") { tally.count(1) == 1 }
                try await Task.sleep(for: .milliseconds(100))
                #expect(try await bench.held() == 1)
                try await bench.call("DEL", "retry")
                _ = try await bench.entries(.retry, 1)
            }
            #expect(try await bench.held() == 0)
        }
    }
}

extension String {
    fileprivate var inBrackets: String { "[\(self)]" }
}
