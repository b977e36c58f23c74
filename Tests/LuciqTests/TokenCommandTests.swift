import ArgumentParser
import Foundation
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

    /// What the environment says need not be said again.
    @Test func aUserIsEnough() throws {
        let (app, kid) = (Tenant.PublicID.random(), UserTokenKey.ID.random())
        let secret = String(repeating: "s", count: 43)
        let environment = ["LUCIQ_APP": app.text, "LUCIQ_KID": kid.text, "LUCIQ_JWT_SECRET": secret]
        func claims(_ arguments: [String], _ environment: [String: String]) throws -> [String: Any] {
            let token = try Token.parse(arguments).token(in: environment)
            let parts = try token.split(separator: ".").prefix(2).map { part in
                let json = try #require(Base64URL.decode(Array(part.utf8)[...]))
                return try #require(try JSONSerialization.jsonObject(with: Data(json)) as? [String: Any])
            }
            return parts[0].merging(parts[1]) { $1 }
        }
        let short = try claims(["--user", "u1"], environment)
        #expect(short["aud"] as? String == app.text && short["kid"] as? String == kid.text)
        #expect(short["sub"] as? String == "u1")
        // Arguments come first.
        let other = (Tenant.PublicID.random().text, UserTokenKey.ID.random().text)
        let long = try claims([other.0, "--user", "u1", "--kid", other.1], environment)
        #expect(long["aud"] as? String == other.0 && long["kid"] as? String == other.1)
        for name in environment.keys {
            for value in [nil, ""] {
                var environment = environment
                environment[name] = value
                #expect(throws: ExitCode(64), "\(name)") { try claims(["--user", "u1"], environment) }
            }
        }
    }

    @Test func noKeyOfOursBeginsWithAHyphen() {
        for _ in 0..<1000 { #expect(UserTokenKey.ID.random().text.utf8.allSatisfy { $0 != UInt8(ascii: "-") }) }
    }
}
