import ArgumentParser
import ChatCore
import NIOHTTP1

struct Keys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Make, list and revoke keys.",
        discussion: AccessFlags.keyHelp,
        subcommands: [Admin.self, Create.self, List.self, Revoke.self]
    )

    private struct Key: Decodable {
        let id: String
        let name: String
        let scopes: [String]
        let expires_at: String?
        let last_used_at: String?
        let revoked_at: String?
    }

    struct Admin: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a new key of the server, for LUCIQ_ADMIN_KEY.",
            discussion: "Needs no server. The key counts once it is in the environment of luciq serve.")

        func run() throws { print(AccessKey.random(.admin).text) }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key of an application, and print it.",
            discussion: "Nobody can see it again: put it away.")

        @OptionGroup var application: ApplicationFlags
        @Option(help: "What the key is for.") var name: String
        @Option(
            name: [.customLong("scope"), .customShort("s")],
            help: "What it may: read, write, members or admin; repeat it for more.")
        var scopes: [Scope]
        @Option(help: ArgumentHelp("When it expires. Default: never.", valueName: "time"))
        var expiresAt: String?

        enum Scope: String, CaseIterable, ExpressibleByArgument { case read, write, members, admin }

        private struct Request: Encodable {
            let name: String
            let scopes: [String]
            let expires_at: String?
        }

        private struct Created: Decodable { let key: String }

        func run() async throws {
            let request = Request(name: name, scopes: scopes.map(\.rawValue), expires_at: expiresAt)
            try await application.server.show(
                .POST, application.path("/keys"), request, missing: ApplicationFlags.missing
            ) { (created: Created) in created.key.printable }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the keys of an application.")

        @OptionGroup var application: ApplicationFlags

        func run() async throws {
            try await application.server.list(
                application.path("/keys"), missing: ApplicationFlags.missing, empty: "The application has no keys.",
                ["ID", "NAME", "SCOPES", "LAST USED", "ENDS"]
            ) { (key: Key) in
                let end = key.revoked_at.map { "revoked \($0)" } ?? key.expires_at ?? "never"
                return [key.id, key.name, key.scopes.joined(separator: " "), key.last_used_at ?? "never", end]
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a key of an application.",
            discussion: "It opens nothing from now on, and what was opened with it ends within 10 seconds.")

        @OptionGroup var application: ApplicationFlags
        @Argument(help: "The key's id.") var key: String

        func run() async throws {
            guard let id = AccessKey.ID(key) else {
                throw ExitStatus.usage("KEY must be the 12 characters between lq_app_ and the next underscore.")
            }
            try await application.server.show(.DELETE, application.path("/keys/\(id)"), missing: "such key") {
                (revoked: Key) in "\(revoked.id) (\(revoked.name)) is revoked.".printable
            }
        }
    }
}
