import ChatCore
import ChatJobs
import Foundation
import RedisClient
import TestSupport
import Testing

/// What Ruby scripts that use Sidekiq's API see of our worker.
@Suite(.timeLimit(.minutes(5))) struct RubyAPITests {
    @Test func aFailedJobIsSeenRetriedKilledAndDeleted() async throws {
        try await withRuby { bench in
            let notes = RubyNotes()
            try await bench.withWorker([FailingJob(notes: notes)]) { _ in
                let jid = try #require(try await bench.queue.enqueue(FailingJob.self, .array([.string("a")])))
                try await eventually("it failed") { try await bench.call("ZCARD", "retry").integer == 1 }
                try await bench.expect(
                    """
                    Sidekiq::RetrySet.new.map do |job|
                      [job.klass, job.jid, job.queue, job.args, job["error_message"], job["retry_count"],
                        job["error_class"].end_with?("Broken"),
                        (Time.now.to_f - job["failed_at"]).between?(0, 60), (job.at - Time.now).between?(1, 40),
                        (Time.now - job.created_at).between?(0, 60), (Time.now - job.enqueued_at).between?(0, 60)]
                    end
                    """,
                    is: #"[["Fails","\#(jid)","default",["a"],"it is broken: “<b>ä</b>”",0,true,true,true,true,true]]"#)
                try await bench.ruby("Sidekiq::RetrySet.new.find_job('\(jid)').retry")
                try await eventually("it failed again") {
                    try await bench.call("ZCARD", "retry").integer == 1 && notes.all.count == 2
                }
                // Ruby subtracts one from the count at a manual retry.
                try await bench.expect(
                    "Sidekiq::RetrySet.new.map { |job| [job[\"retry_count\"], job[\"retried_at\"].class.name] }",
                    is: #"[[0,"Float"]]"#)
                try await bench.ruby("Sidekiq::RetrySet.new.find_job('\(jid)').kill")
                try await bench.expect("Sidekiq::DeadSet.new.map(&:jid)", is: "[\"\(jid)\"]")
                try await bench.ruby("Sidekiq::DeadSet.new.find_job('\(jid)').delete")
                try await bench.expect(
                    "Sidekiq::Stats.new.then { |s| [s.processed, s.failed, s.retry_size, s.dead_size] }",
                    is: "[2,2,0,0]")
                try await bench.expect(
                    "Sidekiq::Stats::History.new(1).then { |h| [h.processed.values, h.failed.values] }", is: "[[2],[2]]"
                )
            }
        }
    }

    @Test func aJobThatFailsForTheLastTimeIsAmongTheDead() async throws {
        try await withRuby { bench in
            try await bench.withWorker([FailingJob(notes: RubyNotes())]) { _ in
                try await bench.ruby(
                    """
                    Sidekiq::Client.push("class" => "Fails", "args" => [1], "retry" => 0, "backtrace" => true)
                    Sidekiq::Client.push("class" => "Fails", "args" => [2], "retry" => false)
                    Sidekiq.redis { |redis| redis.lpush("queue:default", "no JSON {") }
                    """)
                try await eventually("both are dead") { try await bench.call("ZCARD", "dead").integer == 2 }
                try await bench.expect(
                    """
                    Sidekiq::DeadSet.new.map do |job|
                      [job.klass, job.args, job["error_message"], job.error_backtrace.class.name]
                    end.sort_by(&:to_s)
                    """,
                    is: #"[["Fails",[1],"it is broken: “<b>ä</b>”","Array"],["Malformed",["no JSON {"],"#
                        + #""the job is not JSON: The JSON is malformed, at byte 1","NilClass"]]"#
                )
                // Sidekiq's page accepts entries that are not jobs.
                #expect(try await bench.web().page("/morgue").contains("no JSON {"))
                try await bench.expect("Sidekiq::RetrySet.new.size", is: "0")
            }
        }
    }

    @Test func aScheduledJobIsSeenEnqueuedAndDeleted() async throws {
        try await withRuby { bench in
            let notes = RubyNotes()
            try await bench.withWorker([EchoJob(notes: notes)]) { _ in
                let hour = WallClock.system.now().adding(.seconds(3600))
                let one = try #require(try await bench.queue.enqueue(EchoJob.self, .array([.number(1)]), at: hour))
                let two = try #require(try await bench.queue.enqueue(EchoJob.self, .array([.number(2)]), at: hour))
                try await bench.expect(
                    "Sidekiq::ScheduledSet.new.map { |job| [job.klass, (job.at - Time.now).round(-2).to_i] }",
                    is: #"[["Echo",3600],["Echo",3600]]"#)
                try await bench.ruby(
                    """
                    Sidekiq::ScheduledSet.new.find_job("\(one)").add_to_queue
                    Sidekiq::ScheduledSet.new.find_job("\(two)").delete
                    """)
                try await eventually("it is performed") { notes.all == ["[1]"] }
                try await bench.expect("Sidekiq::ScheduledSet.new.size", is: "0")
            }
        }
    }

    @Test func theProcessAndItsWorkAreSeen() async throws {
        try await withRuby { bench in
            let (notes, mayEnd) = (RubyNotes(), RubyNotes())
            try await bench.withWorker([WaitingJob(notes: notes, mayEnd: mayEnd)]) { worker in
                let jid = try #require(try await bench.queue.enqueue(WaitingJob.self, NoArguments()))
                try await eventually("it is seen at work") {
                    try await bench.call("HLEN", "\(worker.identity):workers").integer == 1
                }
                try await bench.expect(
                    """
                    process = Sidekiq::ProcessSet.new.first
                    [process["identity"], process.tag, process.labels, process.queues, process["concurrency"],
                      process["busy"], process["quiet"], process.stopping?,
                      (Time.now.to_f - process["started_at"]).between?(0, 60),
                      (Time.now.to_f - process["beat"]).between?(0, 20), process["rss"].to_i > 1000,
                      process["pid"] == \(ProcessInfo.processInfo.processIdentifier)]
                    """,
                    is:
                        #"["\#(worker.identity)","ours",[],["default"],3,1,"false",false,true,true,true,true]"#
                )
                try await bench.expect(
                    """
                    Sidekiq::Workers.new.map do |process, thread, work|
                      [process, work["queue"], work["payload"]["jid"], (Time.now.to_i - work["run_at"]).between?(0, 60)]
                    end
                    """, is: #"[["\#(worker.identity)","default","\#(jid)",true]]"#)
                try await bench.expect("Sidekiq::ProcessSet.new.total_concurrency", is: "3")
                try await bench.ruby("Sidekiq::ProcessSet.new.first.quiet!")
                try await eventually("it is quiet") { worker.isQuiet }
                try await eventually("and says so") {
                    try await bench.rubyValue("Sidekiq::ProcessSet.new.first.stopping?") == "true"
                }
                try await bench.queue.enqueue(WaitingJob.self, NoArguments())
                mayEnd.add("now")
                try await eventually("what was in hand is done") { notes.all == ["started", "ended"] }
                try await bench.expect(
                    "Sidekiq::Queue.new.then { |queue| [queue.size, queue.first.klass, queue.latency < 60] }",
                    is: #"[1,"Waits",true]"#)
                try await bench.ruby("Sidekiq::ProcessSet.new.first.stop!")
                try await eventually("it has gone") { try await bench.call("SCARD", "processes").integer == 0 }
            }
            try await bench.expect(
                "[Sidekiq::ProcessSet.new.size, Sidekiq::Workers.new.size, Sidekiq::Queue.new.size]", is: "[0,0,1]")
        }
    }
}
