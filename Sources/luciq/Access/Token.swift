import ArgumentParser
import ChatCore
import Cryptography
import Foundation

struct Token: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Sign a user token (a JWT), to try things out.",
        discussion: """
            Needs no server. LUCIQ_JWT_SECRET has the secret of one of the application's keys for user tokens (HS256), as \
            luciq jwt-keys create has shown it, and LUCIQ_KID the id of that key. With LUCIQ_APP too, luciq token --user u1 \
            is enough. A product's tokens are signed by its own server.
            """
    )

    @Argument(help: "The application's id. Environment: LUCIQ_APP.") var app: String?
    // Both may begin with a hyphen.
    @Option(parsing: .unconditional, help: "The user's id.") var user: String
    @Option(parsing: .unconditional, help: "The id of the key. Environment: LUCIQ_KID.") var kid: String?
    @Option(help: ArgumentHelp("How long the token is good for.", valueName: "seconds")) var ttl = 3600
    @Option(help: "The number of a chat; repeat it for more. The token is good for no other.") var chat: [Int64] = []

    func run() throws { print(try token(in: ProcessInfo.processInfo.environment)) }

    /// - Throws: `ExitStatus.usage` for what is missing or malformed.
    func token(in environment: [String: String]) throws -> String {
        guard let app = app ?? environment["LUCIQ_APP"], !app.isEmpty else {
            throw ExitStatus.usage("APP is missing: it is an argument, or in LUCIQ_APP.")
        }
        guard let application = Tenant.PublicID(app) else {
            throw ExitStatus.usage("APP must be the id of an application: app_ and 22 characters.")
        }
        guard let kid = kid ?? environment["LUCIQ_KID"], !kid.isEmpty else {
            throw ExitStatus.usage("KID is missing: it is --kid, or in LUCIQ_KID.")
        }
        guard let user = User.ID(user) else {
            throw ExitStatus.usage("USER must be 1 to 128 bytes without control characters, and not me, . or ..")
        }
        guard let kid = UserTokenKey.ID(kid) else {
            throw ExitStatus.usage("KID must be the id of a key for user tokens.")
        }
        guard (1...Int(UserToken.longestLifetime.components.seconds)).contains(ttl) else {
            throw ExitStatus.usage("TTL must be a number of seconds, at most a year.")
        }
        guard chat.allSatisfy({ $0 > 0 }) else { throw ExitStatus.usage("CHAT must be the number of a chat.") }
        let secret = SecretKey(Array((environment["LUCIQ_JWT_SECRET"] ?? "").utf8))
        guard secret.count >= 32 else {
            throw ExitStatus.usage("LUCIQ_JWT_SECRET must have the secret of the key, at least 32 characters.")
        }
        let now = WallClock.system.now()
        return UserToken.sign(
            for: user, audience: application.text, issuedAt: now, expiresAt: now.adding(.seconds(ttl)),
            chats: chat.isEmpty ? nil : chat.map { Chat.Number($0) }, keyID: kid, secret: secret)
    }
}
