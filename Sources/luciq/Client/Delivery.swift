import Foundation
import Scheduling

/// The retries of one message. Its idempotency key is the same in each, so that it is stored once even if answers are
/// lost.
struct Delivery {
    let body: String
    let key = "luciq-send-" + UUID().uuidString.lowercased()

    private let deadline: ContinuousClock.Instant
    private var backoff = Backoff(first: .milliseconds(250))
    private var trouble: String?
    private var mayBeStored = false

    /// - Parameter deadline: the last moment to start an attempt.
    init(_ body: String, until deadline: ContinuousClock.Instant) {
        self.body = body
        self.deadline = deadline
    }

    /// - Parameter chance: 0 to 1.
    /// - Returns: how long to wait before the next attempt, and a note for people, once for each kind of failure.
    /// - Throws: the failure to print, if there is no next attempt.
    mutating func failed(
        _ failure: CallFailure, at now: ContinuousClock.Instant, chance: Double
    ) throws(CallFailure) -> (pause: Duration, notice: String?) {
        mayBeStored = mayBeStored || failure.mayHaveHappened
        guard case .passing(let asked) = failure.outlook else { throw failure }
        let pause = backoff.pause(asked: asked, chance: chance)
        guard now + pause < deadline else {
            let fate = mayBeStored ? "It is not known whether the message was stored." : "The message was not stored."
            throw CallFailure(sentence: "\(failure.sentence) \(fate)", outlook: failure.outlook)
        }
        defer { trouble = failure.sentence }
        return (pause, trouble == failure.sentence ? nil : "\(failure.sentence) Trying again.")
    }
}
