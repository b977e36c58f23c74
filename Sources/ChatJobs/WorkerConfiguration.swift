/// A worker's settings.
package struct WorkerConfiguration: Sendable {
    /// A queue to work on.
    package struct Queue: Sendable, Equatable {
        package let name: String
        /// Its weight compared with the others; 0 if none was given.
        package let weight: Int

        package init(_ name: String, weight: Int = 0) {
            self.name = name
            self.weight = weight
        }

        /// Parses a value of Sidekiq's option `-q`: `critical` or `critical,2`.
        package init(parsing text: String) throws(Invalid) {
            let parts = text.split(separator: ",", omittingEmptySubsequences: false)
            let weight = parts.count == 2 ? Int(parts[1]) : 0
            guard parts.count <= 2, !parts[0].isEmpty, let weight, (0...1000).contains(weight) else {
                throw Invalid(description: "A queue is a name, or a name and its weight such as critical,2")
            }
            self.init(String(parts[0]), weight: weight)
        }
    }

    package struct Invalid: Error, CustomStringConvertible {
        package let description: String
    }

    /// For tests that cannot wait.
    package struct Intervals: Sendable {
        /// Between two beats; nil for the format's interval.
        package var beat: Duration?
        /// How long a process counts as alive after its last beat.
        package var presence = Duration.seconds(60)
        /// Between two checks for dead processes: the shortest time and the longest.
        package var rescue = (from: Duration.seconds(20), to: Duration.seconds(25))
        /// Between two comparisons of our held lists in Redis with the running jobs.
        package var audit = Duration.seconds(60)
        /// Between two checks for unnoticed changes, and so the most delay of a deadline.
        package var tick = Duration.milliseconds(500)
        /// How long a peek blocks.
        package var peek = Duration.seconds(2)
        /// How long jobs that were cancelled may take to end.
        package var lastGrace = Duration.seconds(3)
    }

    /// Without weights the first queue that has a job is taken, always in this order; with them they are shuffled by
    /// weight at each fetch, so that none starves.
    package var queues = [Queue("default")]
    /// The most jobs that run at the same time.
    package var concurrency = 10
    /// How long running jobs may go on after a stop.
    package var shutdownTimeout = Duration.seconds(25)
    package var format = SidekiqFormat.v8
    /// Shown by Sidekiq's web page.
    package var tag = ""
    package var labels: [String] = []
    /// The average time between two polls for due jobs by any process.
    package var averagePoll = Duration.seconds(5)
    package var dead = DeadLimits()
    package var intervals = Intervals()

    package init() {}

    var beat: Duration { intervals.beat ?? format.beatPause }

    var isStrict: Bool { queues.allSatisfy { $0.weight == 0 } }
}
