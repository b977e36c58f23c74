import Scheduling

/// The retries of one request, which is carried out once for all of them.
struct Delivery {
    /// What people are told when it fails for good.
    enum Thing {
        case message
        case change

        fileprivate func fate(mayBeStored: Bool) -> String {
            switch (self, mayBeStored) {
            case (.message, true): "It is not known whether the message was stored."
            case (.message, false): "The message was not stored."
            case (.change, true): "It is not known whether the change was made."
            case (.change, false): "The change was not made."
            }
        }
    }

    private let thing: Thing
    private let deadline: ContinuousClock.Instant
    private var backoff = Backoff(first: .milliseconds(250))
    private var trouble: String?
    private var mayBeStored = false

    /// - Parameter deadline: the last moment to start an attempt.
    init(of thing: Thing, until deadline: ContinuousClock.Instant) {
        self.thing = thing
        self.deadline = deadline
    }

    /// - Parameter chance: 0 to 1.
    /// - Returns: how long to wait before the next attempt, and whether this kind of failure is new.
    /// - Throws: the failure to tell, if there is no next attempt.
    mutating func failed(
        _ failure: CallFailure, at now: ContinuousClock.Instant, chance: Double
    ) throws(CallFailure) -> (pause: Duration, isNews: Bool) {
        mayBeStored = mayBeStored || failure.mayHaveHappened
        guard case .passing(let asked) = failure.outlook else { throw failure }
        let pause = backoff.pause(asked: asked, chance: chance)
        guard now + pause < deadline else {
            throw CallFailure(
                sentence: "\(failure.sentence) \(thing.fate(mayBeStored: mayBeStored))", outlook: failure.outlook,
                mayHaveHappened: mayBeStored, status: failure.status, code: failure.code)
        }
        defer { trouble = failure.sentence }
        return (pause, trouble != failure.sentence)
    }
}
