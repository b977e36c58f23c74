extension StreamSimulation {
    /// The probability of each fault, from 0 to 1.
    struct Weather {
        var lateWriters = 0.1
        var deadWriters = 0.05
        var lostPublishes = 0.1
        var repeatedPublishes = 0.05
        var latePublishes = 0.2
        var failedStoreCalls = 0.1
        var staleReads = 0.1
        var slowReaders = 0.2
        var clockSkew = Duration.seconds(3)
        /// How late is late.
        var writersDelay = Duration.seconds(6)
        var publishDelay = Duration.seconds(1)
        var polls = true
        /// Changes for each write.
        var edits = 1.0
        /// So small that they are reached.
        var bounds = (window: 12, ahead: 6)

        /// Only writers fail.
        static let fair = Weather(
            lostPublishes: 0, latePublishes: 0, failedStoreCalls: 0, staleReads: 0, slowReaders: 0, clockSkew: .zero,
            bounds: (64, 6))
        /// Many messages are out of order, and none is late by more than a moment.
        static let calm = Weather(
            lateWriters: 0.5, deadWriters: 0, lostPublishes: 0, latePublishes: 0.5, failedStoreCalls: 0, staleReads: 0,
            slowReaders: 0, clockSkew: .zero, writersDelay: .milliseconds(20), publishDelay: .milliseconds(20),
            edits: 0,
            bounds: (12, 100))
        /// All faults that can happen within one process.
        static let indoors = Weather(
            lateWriters: 0, deadWriters: 0, lostPublishes: 0, repeatedPublishes: 0, latePublishes: 0,
            failedStoreCalls: 0, staleReads: 0, slowReaders: 0, clockSkew: .zero, polls: false)
    }
}
