import Testing

@testable import ChatCore

/// Which addresses are refused when there are more than are kept. Moments are in microseconds.
struct RefusedAddressesTests {
    private func address(_ text: String) -> IPAddress { IPAddress(text)! }

    private func refuse(_ text: String, until moment: Int64, at now: Int64 = 0, _ refused: inout RefusedAddresses) {
        refused.refuse(AddressRange(of: address(text), width: 128), until: moment, at: now)
    }

    @Test func theLaterEndStands() {
        for moments in [[100, 50], [50, 100]] as [[Int64]] {
            var refused = RefusedAddresses(capacity: 8)
            for moment in moments { refuse("192.0.2.1", until: moment, &refused) }
            #expect(refused.end(of: address("192.0.2.1"), at: 60) == 100)
            #expect(refused.end(of: address("192.0.2.1"), at: 100) == nil && refused.isEmpty)
        }
    }

    @Test(arguments: 1...9)
    func aMergedNetworkKeepsTheLatestEnd(last: Int) {
        var refused = RefusedAddresses(capacity: 8)
        for number in 1...9 { refuse("192.0.2.\(number)", until: number == last ? 1000 : Int64(number), &refused) }
        #expect(refused.count == 1)
        #expect(refused.end(of: address("192.0.2.200"), at: 500) == 1000)
        #expect(refused.end(of: address("192.0.3.1"), at: 500) == nil)
    }

    @Test func whatIsOverMakesRoomFirst() {
        var refused = RefusedAddresses(capacity: 8)
        for number in 1...8 { refuse("192.0.2.\(number)", until: 10, &refused) }
        refuse("192.0.2.100", until: 100, at: 20, &refused)
        #expect(refused.count == 1)
        #expect(refused.end(of: address("192.0.2.100"), at: 20) == 100)
        #expect(refused.end(of: address("192.0.2.101"), at: 20) == nil)
    }

    /// As few neighbours as it takes are refused with them.
    @Test func theMostCrowdedNetworkIsMergedFirst() {
        var refused = RefusedAddresses(capacity: 8)
        for text in ["198.51.100.1", "203.0.113.1", "203.0.113.2"] { refuse(text, until: 100, &refused) }
        for number in 1...6 { refuse("192.0.2.\(number)", until: 100, &refused) }
        #expect(refused.count == 4)
        for (text, isRefused) in [
            ("192.0.2.1", true), ("192.0.2.200", true), ("203.0.113.1", true), ("203.0.113.2", true),
            ("203.0.113.3", false), ("198.51.100.1", true), ("198.51.100.2", false),
        ] {
            #expect((refused.end(of: address(text), at: 0) != nil) == isRefused, "\(text)")
        }
    }
}
