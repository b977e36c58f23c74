import Testing

@testable import LuciqClient

@Suite struct DeliveryTests {
    @Test func aDeliveryEndsInTime() throws {
        let now = ContinuousClock.now
        var delivery = Delivery(of: .message, until: now + .seconds(10))
        let away = CallFailure(sentence: "Away.", outlook: .passing())
        let first = try delivery.failed(away, at: now, chance: 1)
        let second = try delivery.failed(away, at: now + .seconds(1), chance: 1)
        #expect(first.pause == .milliseconds(250) && first.isNews)
        #expect(second.pause == .milliseconds(500) && !second.isNews)
        #expect(throws: CallFailure(sentence: "Away. The message was not stored.", outlook: .passing())) {
            try delivery.failed(away, at: now + .seconds(9.9), chance: 1)
        }
        // Once the message may have been stored, no error may say that it was not.
        let lost = CallFailure(sentence: "Lost.", outlook: .passing(), mayHaveHappened: true)
        _ = try delivery.failed(lost, at: now, chance: 1)
        let sentence = "Away. It is not known whether the message was stored."
        #expect(throws: CallFailure(sentence: sentence, outlook: .passing(), mayHaveHappened: true)) {
            try delivery.failed(away, at: now + .seconds(11), chance: 1)
        }
        let refused = CallFailure(sentence: "No.", outlook: .refused)
        #expect(throws: refused) { try delivery.failed(refused, at: now, chance: 1) }
        // A server may ask for a longer pause than there is.
        var change = Delivery(of: .change, until: now + .seconds(10))
        let busy = CallFailure(sentence: "Busy.", outlook: .passing(asked: .seconds(11)))
        #expect(throws: CallFailure(sentence: "Busy. The change was not made.", outlook: busy.outlook)) {
            try change.failed(busy, at: now, chance: 0)
        }
    }
}
