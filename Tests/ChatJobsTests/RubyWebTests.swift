import ChatCore
import RedisClient
import TestSupport
import Testing

@testable import ChatJobs

/// Sidekiq's own pages, pressed as people press them.
@Suite(.timeLimit(.minutes(5))) struct RubyWebTests {
    @Test func aFailedJobIsRetriedKilledAndDeletedFromThePages() async throws {
        try await withRuby { bench in
            let notes = RubyNotes()
            let web = try await bench.web()
            #expect(try await web.page("/retries").contains("No retries were found"))
            try await bench.withWorker([FailingJob(notes: notes)]) { _ in
                let jid = try #require(try await bench.queue.enqueue(FailingJob.self, .array([.string("<i>")])))
                try await eventually("it failed") { try await bench.call("ZCARD", "retry").integer == 1 }
                let list = try await web.page("/retries")
                #expect(list.contains(jid) && list.contains("it is broken: “&lt;b&gt;ä&lt;"))
                #expect(try await web.forge("/retries", "retry=1") == 403)
                // From the list, then from the page of its own.
                try await web.press("retry", on: "/retries", in: jid)
                try await failedAgain(2)
                try await web.press("retry", on: try await own("/retries/"), in: jid)
                try await failedAgain(3)
                #expect(try await web.page(try await own("/retries/")).contains(jid))
                try await web.press("kill", on: "/retries", in: jid)
                #expect(try await web.page("/morgue").contains(jid))
                try await web.press("retry", on: "/morgue", in: jid)
                try await failedAgain(4)
                try await web.press("kill", on: "/retries", in: "all/kill")
                try await web.press("delete", on: "/morgue", in: jid)
                #expect(try await web.page("/morgue").contains("No dead jobs were found"))
                #expect(try await web.page("/retries").contains("No retries were found"))
            }
            let stats = try await web.page("/stats")
            #expect(stats.contains(#""processed":4,"failed":4,"#) && stats.contains(#""retries":0,"dead":0"#))
            #expect(try await web.page("/").contains("Dashboard"))

            func failedAgain(_ count: Int) async throws {
                try await eventually("it failed for the \(count). time") {
                    try await bench.call("ZCARD", "retry").integer == 1 && notes.all.count == count
                }
            }
            func own(_ prefix: String) async throws -> String {
                let html = try await web.page(String(prefix.dropLast()))
                let path = html.firstMatch(of: /href="(\/retries\/[^"]+)"/)
                return String(try #require(path).1)
            }
        }
    }

    /// Whatever a queue contained, the page of dead jobs loads, and so does the page of each entry.
    @Test func theDeadPageShowsWhatIsNoJob() async throws {
        try await withRuby { bench in
            let web = try await bench.web()
            let texts = [
                "[1,2]", "\"a<b\"", "42", "null", "true", "[]", "{}", "no job", "{\"class\":5,\"args\":\"x\"}",
                "\u{1}\t",
            ]
            for text in texts {
                var push = RedisCommand("LPUSH", "queue:default")
                push.append(Array(text.utf8))
                _ = try await bench.redis.send(push)
            }
            var broken = RedisCommand("LPUSH", "queue:default")
            broken.append([UInt8(ascii: "["), UInt8(ascii: "\""), 0xFF, UInt8(ascii: "\""), UInt8(ascii: "]")])
            _ = try await bench.redis.send(broken)
            try await bench.withWorker([]) { _ in
                try await eventually("all are dead") {
                    try await bench.call("ZCARD", "dead").integer == Int64(texts.count + 1)
                }
            }
            let list = try await web.page("/morgue")
            #expect(list.contains("[1,2]") && list.contains("Malformed"))
            let paths = Set(list.matches(of: /href="(\/morgue\/[^"]+)"/).map { String($0.1) })
            #expect(paths.count == texts.count + 1)
            for path in paths { _ = try await web.page(path) }
            try await web.press("delete", on: "/morgue", in: "name=\"delete\"")
            #expect(try await bench.call("ZCARD", "dead").integer == 0)
        }
    }

    /// Ruby finds an entry again by writing anew what it has read: each byte must be as it would write it.
    @Test func rubyReschedulesWhatWeScheduled() async throws {
        try await withRuby { bench in
            let text = String(String.UnicodeScalarView((0..<0x80).map { Unicode.Scalar(UInt8($0)) })) + "é😀\u{2028}<>&"
            var arguments = JSONText.bytes(text)
            arguments = Array("[".utf8) + arguments + Array("]".utf8)
            let hour = WallClock.system.now().adding(.seconds(3600))
            for arguments in [arguments, JobQueue.compact(" [ 1 , { \"a b\" : \" \\\" x\" } ] ")] {
                try await bench.queue.enqueue(named: "Echo", arguments: arguments, at: hour)
            }
            try await bench.ruby("Sidekiq::ScheduledSet.new.each { |job| job.reschedule(Time.now + 7200) }")
            #expect(try await bench.call("ZCARD", "schedule").integer == 2)
        }
    }

    @Test func aScheduledJobIsAddedToTheQueueAndDeletedFromItsPage() async throws {
        try await withRuby { bench in
            let notes = RubyNotes()
            let web = try await bench.web()
            try await bench.withWorker([EchoJob(notes: notes)]) { _ in
                let hour = WallClock.system.now().adding(.seconds(3600))
                for number in 1...2 {
                    let jid = try #require(
                        try await bench.queue.enqueue(EchoJob.self, .array([.string("n\(number)")]), at: hour))
                    #expect(try await web.page("/scheduled").contains(jid))
                    try await web.press(number == 1 ? "add_to_queue" : "delete", on: "/scheduled", in: jid)
                    try await eventually("it is performed") { notes.all == [#"["n1"]"#] }
                }
                #expect(try await web.page("/scheduled").contains("No scheduled jobs were found"))
            }
        }
    }

    @Test func ourWorkerIsSeenQuietedAndStopped() async throws {
        try await withRuby { bench in
            let (notes, mayEnd) = (RubyNotes(), RubyNotes())
            let web = try await bench.web()
            try await bench.withWorker([WaitingJob(notes: notes, mayEnd: mayEnd)]) { worker in
                let jid = try #require(try await bench.queue.enqueue(WaitingJob.self, NoArguments()))
                try await eventually("it is seen at work") {
                    try await bench.call("HLEN", "\(worker.identity):workers").integer == 1
                }
                let busy = try await web.page("/busy")
                #expect(busy.contains(worker.identity) && busy.contains(jid) && busy.contains("ours"))
                try await web.press("quiet", on: "/busy", in: worker.identity)
                try await eventually("it is quiet") { worker.isQuiet }
                try await eventually("and shown so") {
                    try await web.page("/busy").contains(#"<span class="label label-danger">quiet</span>"#)
                }
                try await bench.queue.enqueue(WaitingJob.self, NoArguments())
                let queues = try await web.page("/queues")
                #expect(queues.contains("default"))
                #expect(try await web.page("/queues/default").contains("Waits"))
                try await web.press("stop", on: "/busy", in: worker.identity)
                mayEnd.add("now")
                try await eventually("it has gone") { try await bench.call("SCARD", "processes").integer == 0 }
                #expect(notes.all == ["started", "ended"])
                #expect(!(try await web.page("/busy").contains(worker.identity)))
            }
        }
    }
}
