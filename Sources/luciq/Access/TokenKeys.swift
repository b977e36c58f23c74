import ArgumentParser
import ChatCore
import Foundation
import NIOHTTP1

struct TokenKeys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jwt-keys",
        abstract: "Make, list and end the keys of user tokens (JWT).",
        discussion: AccessFlags.keyHelp,
        subcommands: [Create.self, List.self, Retire.self, Activate.self, Revoke.self]
    )

    private struct Key: Decodable {
        let kid: String
        let alg: String
        let state: String
        let secret: String?
        let created_at: String
        let retires_at: String?
        let last_used_at: String?
        let revoked_at: String?

        var end: String {
            revoked_at.map { "revoked \($0)" } ?? retires_at.map { "retires \($0)" } ?? "active"
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key for user tokens.",
            discussion: """
                Prints its id, and the secret that signs with HS256: nobody can see it again, put it away. With --public-key \
                the secret part stays yours, and tokens are signed with EdDSA.
                """)

        @OptionGroup var application: ApplicationFlags
        @Option(help: ArgumentHelp("An Ed25519 public key, as PEM or a JWK.", valueName: "file"))
        var publicKey: String?

        /// A public key has about a hundred bytes.
        private static let longest = 64 << 10

        func run() async throws {
            var request = ["alg": "HS256"]
            if let publicKey { request = ["alg": "EdDSA", "public_key": try Self.read(publicKey)] }
            try await application.server.show(
                .POST, application.path("/jwt-keys"), request, missing: ApplicationFlags.missing
            ) { (key: Key) in
                "kid:    \(key.kid.printable)" + (key.secret.map { "\nsecret: \($0.printable)" } ?? "")
            }
        }

        private static func read(_ path: String) throws -> String {
            do {
                let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
                return String(decoding: try file.read(upToCount: longest) ?? Data(), as: UTF8.self)
            } catch {
                let reason = ((error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError)?.code
                let words = reason.map { ": \(String(cString: strerror(CInt(truncatingIfNeeded: $0))))" } ?? ""
                throw ExitStatus.usage("--public-key cannot be read from \(path.printable)\(words).")
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the keys of an application's user tokens.")

        @OptionGroup var application: ApplicationFlags

        func run() async throws {
            try await application.server.list(
                application.path("/jwt-keys"), missing: ApplicationFlags.missing,
                empty: "The application has no keys for user tokens.",
                ["KID", "ALG", "CREATED", "LAST USED", "STATE"]
            ) { (key: Key) in [key.kid, key.alg, key.created_at, key.last_used_at ?? "never", key.end] }
        }
    }

    struct Retire: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a key end at a time. Until then its tokens are taken.")

        @OptionGroup var key: KeyFlags
        @Option(help: ArgumentHelp("As in RFC 3339, such as 2027-01-01T00:00:00Z.", valueName: "time"))
        var at: String

        func run() async throws { try await key.change(.PATCH, ["state": "retiring", "retires_at": at]) }
    }

    struct Activate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take it back that a key retires.")

        @OptionGroup var key: KeyFlags

        func run() async throws { try await key.change(.PATCH, ["state": "active"]) }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a key for good.",
            discussion: "Its tokens are refused from now on, and what was opened with them ends within 10 seconds.")

        @OptionGroup var key: KeyFlags

        func run() async throws { try await key.change(.DELETE) }
    }

    struct KeyFlags: ParsableArguments {
        @OptionGroup var application: ApplicationFlags
        @Argument(help: "The key's id.") var kid: String

        func change(_ method: HTTPMethod, _ body: [String: String]? = nil) async throws {
            guard let id = UserTokenKey.ID(kid) else {
                throw ExitStatus.usage("KID must be the id of a key for user tokens.")
            }
            try await application.server.show(
                method, application.path("/jwt-keys/\(id)"), body.map { try JSONText(encoding: $0) },
                missing: "such key"
            ) { (key: Key) in "\(key.kid): \(key.end)".printable }
        }
    }
}
