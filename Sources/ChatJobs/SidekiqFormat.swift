package import ChatCore

/// The version of Sidekiq's format that is written, for the Ruby processes on the same Redis. All versions are read.
package enum SidekiqFormat: String, Sendable, CaseIterable {
    case v6 = "6"
    case v7 = "7"
    case v8 = "8"

    /// A time in a payload as raw JSON: whole milliseconds from 8 on, seconds as a float before.
    package func timestamp(_ time: Timestamp) -> String {
        self == .v8 ? String(time.microseconds / 1000) : String(time.seconds)
    }

    /// The suffix of the hash with a process' running jobs: `<identity>:work`.
    package var workSuffix: String { self == .v6 ? ":workers" : ":work" }

    /// The interval of heartbeats.
    package var beatPause: Duration { self == .v6 ? .seconds(5) : .seconds(10) }
}

extension Timestamp {
    /// Seconds since 1970, as in scores.
    package var seconds: Double { Double(microseconds) / 1_000_000 }

    package init(seconds: Double) {
        self.init(microseconds: Int64((min(max(seconds, -1e12), 1e12) * 1_000_000).rounded()))
    }

    /// Reads a time of a payload: a float is in seconds and an integer in milliseconds, unless it is so small that it
    /// would be before 1974.
    package init?(sidekiq text: String) {
        guard let number = Double(text), number.isFinite else { return nil }
        let isMilliseconds = Int64(text) != nil && number >= 1e11
        self.init(seconds: isMilliseconds ? number / 1000 : number)
    }
}
