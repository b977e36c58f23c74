import ArgumentParser
import Testing

@testable import ChatCore
@testable import luciq

@Suite struct TokenCommandTests {
    /// A user's id is the product's own, and a key may have an id of before.
    @Test func anIDMayBeginWithAHyphen() throws {
        let app = Tenant.PublicID.random().text
        let command = try Token.parse([app, "--kid", "-UakyxTuFDEJA5cl", "--user", "-u1"])
        #expect(command.kid == "-UakyxTuFDEJA5cl" && command.user == "-u1")
    }

    @Test func noKeyOfOursBeginsWithAHyphen() {
        for _ in 0..<1000 { #expect(UserTokenKey.ID.random().text.utf8.allSatisfy { $0 != UInt8(ascii: "-") }) }
    }
}
