import ChatCore
import Cryptography
import Foundation
import TestSupport
import Testing

/// Tokens that products make: by PyJWT and joserfc, in the versions of `scripts/make-tokens`.
@Suite struct UserTokenLibraryTests {
    private struct Made: Decodable {
        struct Token: Decodable {
            let library: String
            let alg: String
            let token: String
        }
        let publicPEM: String
        let privatePEM: String
        let publicJWK: String
        let privateJWK: String
        let tokens: [Token]
    }

    @Test func tokensOfLibrariesAreTaken() async throws {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/../../scripts/make-tokens"
        // The first run installs the packages.
        let output = try await runProgram([script], within: 180)
        let made = try JSONDecoder().decode(Made.self, from: Data(output.utf8))

        let issuer = TokenIssuer()
        let key = try Ed25519PublicKey(uploaded: made.publicPEM)
        #expect(try Ed25519PublicKey(uploaded: made.publicJWK) == key)
        for secret in [made.privatePEM, made.privateJWK] {
            #expect(throws: ChatError.self) { try Ed25519PublicKey(uploaded: secret) }
        }
        issuer.set([
            TokenIssuer.secretKey, try #require(UserTokenKey(id: TokenIssuer.publicKey.id, .publicKey(key))),
        ])

        let good = made.tokens.filter { ["PyJWT", "joserfc"].contains($0.library) }
        #expect(Set(good.map { $0.library + $0.alg }).count == 4)
        for made in good {
            let token = try issuer.verify(made.token)
            #expect(token.user == User.ID("zoë/42"))
            #expect(token.keyID.text == "key-\(made.alg)")
            #expect(token.chats == [Chat.Number(3), Chat.Number(7)])
            #expect(issuer.refusal(of: made.token, at: 1_800_003_660) == .expired)
            let other = made.token.dropLast(20) + "AAAAAAAAAAAAAAAAAAAA"
            #expect(issuer.refusal(of: String(other)) == .invalid(.signature))
        }
        let refused = Dictionary(
            uniqueKeysWithValues: made.tokens.filter { $0.library.hasPrefix("a token") }.map {
                ($0.library, issuer.refusal(of: $0.token))
            })
        #expect(
            refused == [
                "a token without kid": .invalid(.key), "a token with its own key": .invalid(.headerParameter),
                "a token with crit": .invalid(.headerParameter),
            ])
    }
}
