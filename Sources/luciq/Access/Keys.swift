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

    private struct Key: Codable {
        let id: String
        let name: String
        let scopes: [String]
        let created_at: String
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

        @Argument(help: "The application's id, or its token.") var app: ApplicationName
        @Option(help: "What the key is for.") var name: String
        @Option(
            name: [.customLong("scope"), .customShort("s")],
            help: "What it may: read, write, members or admin; repeat it for more.")
        var scopes: [Scope]
        @Option(help: ArgumentHelp("When it expires. Default: never.", valueName: "time"))
        var expiresAt: String?
        @OptionGroup var flags: AccessFlags

        enum Scope: String, CaseIterable, ExpressibleByArgument { case read, write, members, admin }

        private struct Request: Encodable {
            let name: String
            let scopes: [String]
            let expires_at: String?
        }

        private struct Created: Codable {
            let id: String
            let key: String
            let name: String
            let scopes: [String]
            let expires_at: String?
        }

        func run() async throws {
            try await flags.withServer { server in
                let created = try await server.call(
                    .POST, "/applications/\(app.text)/keys",
                    Request(name: name, scopes: scopes.map(\.rawValue), expires_at: expiresAt),
                    missing: "such application", as: Created.self)
                if flags.json { try printJSON(created) } else { print(created.key.printable) }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the keys of an application.")

        @Argument(help: "The application's id, or its token.") var app: ApplicationName
        @OptionGroup var flags: AccessFlags

        func run() async throws {
            try await flags.withServer { server in
                let keys = try await server.call(
                    .GET, "/applications/\(app.text)/keys", missing: "such application", as: [Key].self)
                if flags.json { return try printJSON(keys) }
                guard !keys.isEmpty else { return print("The application has no keys.") }
                var table = Table("ID", "NAME", "SCOPES", "LAST USED", "ENDS")
                for key in keys {
                    let end = key.revoked_at.map { "revoked \($0)" } ?? key.expires_at ?? "never"
                    table.add(
                        key.id, key.name, key.scopes.joined(separator: " "), key.last_used_at ?? "never", end)
                }
                print(table.text())
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a key of an application.",
            discussion: "It opens nothing from now on, and what was opened with it ends within 10 seconds.")

        @Argument(help: "The application's id, or its token.") var app: ApplicationName
        @Argument(help: "The key's id.") var key: String
        @OptionGroup var flags: AccessFlags

        func run() async throws {
            guard let id = AccessKey.ID(key) else {
                throw ExitStatus.usage("KEY must be the 12 characters between lq_app_ and the next underscore.")
            }
            try await flags.withServer { server in
                let revoked = try await server.call(
                    .DELETE, "/applications/\(app.text)/keys/\(id)", missing: "such key", as: Key.self)
                if flags.json { return try printJSON(revoked) }
                print("\(revoked.id) (\(revoked.name)) is revoked.".printable)
            }
        }
    }
}
