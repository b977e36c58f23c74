package import ChatCore

/// In which Sidekiq's way things are written, for the Ruby processes beside us. All ways are read, always.
package enum SidekiqFormat: String, Sendable, CaseIterable {
    case v6 = "6"
    case v7 = "7"
    case v8 = "8"

    /// A time in a payload as raw JSON: whole milliseconds from 8 on, seconds as a float before.
    package func timestamp(_ time: Timestamp) -> String {
        self == .v8 ? String(time.microseconds / 1000) : String(time.seconds)
    }

    /// Of the hash that tells what a process has in hand: `<identity>:work`.
    package var workSuffix: String { self == .v6 ? ":workers" : ":work" }

    /// How often a process shows that it lives.
    package var beatPause: Duration { self == .v6 ? .seconds(5) : .seconds(10) }
}

extension Timestamp {
    /// Seconds since 1970, as scores are.
    package var seconds: Double { Double(microseconds) / 1_000_000 }

    package init(seconds: Double) {
        self.init(microseconds: Int64((min(max(seconds, -1e12), 1e12) * 1_000_000).rounded()))
    }

    /// Reads a time of a payload: a float is seconds and an integer milliseconds, except one so small that it would be
    /// a day of 1973.
    package init?(sidekiq text: String) {
        guard let number = Double(text), number.isFinite else { return nil }
        let isMilliseconds = Int64(text) != nil && number >= 1e11
        self.init(seconds: isMilliseconds ? number / 1000 : number)
    }
}
