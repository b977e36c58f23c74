import Foundation
import Scheduling

/// One message on its way: how often it is tried, and when that ends. Its key is the same each time, so that it is
/// stored once whatever becomes of the answers.
struct Delivery {
    let body: String
    let key = "luciq-send-" + UUID().uuidString.lowercased()

    private let deadline: ContinuousClock.Instant
    private var backoff = Backoff(first: .milliseconds(250))
    private var trouble: String?
    private var mayBeStored = false

    /// - Parameter deadline: the last moment to start a try.
    init(_ body: String, until deadline: ContinuousClock.Instant) {
        self.body = body
        self.deadline = deadline
    }

    /// - Parameter chance: 0 to 1.
    /// - Returns: how long to wait before the next try, and what to tell a person: each trouble once.
    /// - Throws: the failure to print, when there is no next try.
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
