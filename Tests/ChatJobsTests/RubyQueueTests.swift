import ChatCore
import ChatJobs
import Foundation
import RedisClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct RubyQueueTests {
    /// As Ruby writes them, and as JSON.
    static let oddArguments = [
        ("[]", "[]"),
        ("[2**70, -2**63, 0]", "[1180591620717411303424,-9223372036854775808,0]"),
        ("[1.0, 0.5, nil, true, false]", "[1,0.5,null,true,false]"),
        (#"["Grüße 🎉 \u2028 \" \\ / \n", ""]"#, #"["Grüße 🎉 \#u{2028} \" \\ / \n",""]"#),
        (#"[[1, [2, []]], {"a" => {"b" => [nil]}, "" => {}}]"#, #"[[1,[2,[]]],{"":{},"a":{"b":[null]}}]"#),
        (#"["x" * 100_000]"#, "[\"\(String(repeating: "x", count: 100_000))\"]"),
    ]

    @Test func wePerformWhatRubyEnqueues() async throws {
        try await withRuby { bench in
            let notes = RubyNotes()
            try await bench.withWorker([EchoJob(notes: notes)]) { _ in
                let calls = Self.oddArguments.map { "Echo.perform_async(*\($0.0))" }.joined(separator: "\n")
                try await bench.ruby(
                    """
                    class Echo; include Sidekiq::Worker; end
                    \(calls)
                    Echo.perform_in(2, "later")
                    Sidekiq::Client.push_bulk("class" => "Echo", "args" => [["bulk", 1], ["bulk", 2]])
                    """)
                let isScheduled = try await bench.call("ZCARD", "schedule").integer == 1
                try await eventually("all are performed") { notes.all.count == Self.oddArguments.count + 3 }
                let wanted = Self.oddArguments.map(\.1) + [#"["bulk",1]"#, #"["bulk",2]"#, #"["later"]"#]
                #expect(notes.all.sorted() == wanted.sorted())
                #expect(isScheduled && notes.all.last == #"["later"]"#)
            }
            try await bench.expect(
                "Sidekiq::Stats.new.then { |stats| [stats.processed, stats.failed, stats.enqueued] }", is: "[9,0,0]")
        }
    }

    @Test func rubyPerformsWhatWeEnqueue() async throws {
        try await withRuby { bench in
            let queue = bench.queue
            try await bench.withRubyWorker { _ in
                for (_, json) in Self.oddArguments {
                    try await queue.enqueue(named: "Echo", arguments: Array(json.utf8))
                }
                try await queue.enqueue(named: "Echo", arguments: Array("[1.0,1e3]".utf8))
                try await queue.enqueue(EchoJob.self, .array([.string("typed")]))
                try await queue.enqueue(EchoJob.self, each: [.array([.number(1)]), .array([.number(2)])])
                try await queue.enqueue(
                    named: "Echo", arguments: Array(#"["later"]"#.utf8),
                    at: WallClock.system.now().adding(.seconds(2)))
                let wanted = Self.oddArguments.map(\.1) + ["[1.0,1000.0]", #"["typed"]"#, "[1]", "[2]", #"["later"]"#]
                try await eventually("all are performed", within: 30) {
                    try await bench.list("ruby:Echo").count == wanted.count
                }
                let seen = try await bench.list("ruby:Echo")
                #expect(seen.sorted() == wanted.sorted())
                #expect(seen.last == #"["later"]"#)
            }
        }
    }

    @Test func aRubyWorkerAndOursShareQueues() async throws {
        try await withRuby { bench in
            let notes = RubyNotes()
            try await bench.withWorker([CountJob(notes: notes)]) { worker in
                try await bench.withRubyWorker { process in
                    try await bench.queue.enqueue(CountJob.self, each: Array(0..<300))
                    try await bench.ruby(
                        #"Sidekiq::Client.push_bulk("class" => "Count", "args" => (300...600).map { |n| [n] })"#)
                    try await eventually("all are performed", within: 60) {
                        try await bench.list("ruby:Count").count + notes.all.count >= 600
                    }
                    let theirs = try await bench.list("ruby:Count")
                    #expect((theirs + notes.all).compactMap { Int($0) }.sorted() == Array(0..<600))
                    #expect(!theirs.isEmpty && !notes.all.isEmpty)
                    try await bench.expect(
                        "Sidekiq::ProcessSet.new.map { |process| process.tag == 'ours' }.sort_by(&:to_s)",
                        is: "[false,true]")
                    #expect(process.isRunning)
                }
                // Ruby's has said goodbye; ours is not touched by that.
                try await bench.expect(
                    "Sidekiq::ProcessSet.new.map { |process| process['identity'] }",
                    is: "[\"\(worker.identity)\"]")
                try await bench.expect(
                    "Sidekiq::Stats.new.then { |stats| [stats.processed, stats.failed] }", is: "[600,0]")
            }
        }
    }

    @Test func rubyRetriesWhatFailedWithUs() async throws {
        try await withRuby { bench in
            let notes = RubyNotes()
            try await bench.withWorker([FailingJob(notes: notes)]) { _ in
                try await bench.ruby(
                    #"Sidekiq::Client.push("class" => "Fails", "args" => [2**70, 1.0, "ü"], "mine" => {"z" => 1.50})"#)
                try await eventually("it failed") { try await bench.call("ZCARD", "retry").integer == 1 }
            }
            // What we did not write is as it came, byte for byte.
            let entry = try await bench.call("ZRANGE", "retry", "0", "0").array?.first?.string ?? ""
            let came = #""class":"Fails","args":[1180591620717411303424,1.0,"ü"],"mine":{"z":1.5},"jid":""#
            #expect(entry.hasPrefix(#"{"retry":true,"queue":"default","# + came))
            try await bench.withRubyWorker { _ in
                try await bench.ruby("Sidekiq::RetrySet.new.each(&:retry)")
                try await eventually("Ruby performed it") { try await bench.list("ruby:Fails").count == 1 }
            }
            #expect(try await bench.list("ruby:Fails") == [#"[1180591620717411303424,1.0,"ü"]"#])
        }
    }
}
