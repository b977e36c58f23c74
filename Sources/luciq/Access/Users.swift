import ArgumentParser
import ChatCore
import Foundation
import NIOHTTP1

struct Users: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users",
        abstract: "Look at the users of an application, store and shut them out.",
        discussion: AccessFlags.keyHelp,
        subcommands: [List.self, Show.self, Put.self, Block.self, Unblock.self, Revoke.self]
    )

    fileprivate struct Item: Decodable {
        let id: String
        let name: String?
        let created_at: String
        let blocked_at: String?
        let tokens_valid_after: String?
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the users of an application, by their ids.")

        @OptionGroup var application: ApplicationFlags

        func run() async throws {
            try await application.server.list(
                application.path("/users?limit=200"), missing: ApplicationFlags.missing,
                empty: "The application has no users.", ["ID", "NAME", "CREATED", "BLOCKED", "TOKENS FROM"]
            ) { (user: Item) in
                [user.id, user.name ?? "", user.created_at, user.blocked_at ?? "", user.tokens_valid_after ?? ""]
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a user.")

        @OptionGroup var user: UserFlags

        func run() async throws { try await user.show(.GET) }
    }

    struct Put: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Store a user.",
            discussion: "Replaces the name and the metadata: what is not given is taken away.")

        @OptionGroup var user: UserFlags
        @Option(help: "The name.") var name: String?
        @Option(help: ArgumentHelp("A JSON object, at most 8 KiB.", valueName: "json")) var metadata: String?

        func run() async throws {
            // What is no JSON, and what is no object, are told alike.
            let json = metadata.flatMap { JSONText($0.utf8) }
            guard metadata == nil || json?.isObject == true else {
                throw ExitStatus.usage("--metadata must be a JSON object.")
            }
            try await user.show(
                .PUT, "", .object([("name", try JSONText(encoding: name)), ("metadata", json ?? .null)]))
        }
    }

    struct Block: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Refuse a user from now on.", discussion: "What the user has open ends within 10 seconds.")

        @OptionGroup var user: UserFlags

        func run() async throws { try await user.show(.POST, "/block") }
    }

    struct Unblock: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a user in again.")

        @OptionGroup var user: UserFlags

        func run() async throws { try await user.show(.POST, "/unblock") }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Refuse the tokens that a user has by now, or those of all users.",
            discussion: "What was opened with them ends within 10 seconds. Newer tokens are taken.")

        @OptionGroup var application: ApplicationFlags
        @Argument(help: "The user's id.") var user: UserName?
        @Flag(help: "Those of all users.") var all = false

        private struct Revoked: Decodable { let tokens_valid_after: String }

        func validate() throws {
            guard all == (user == nil) else { throw ValidationError("Give a user, or --all.") }
        }

        func run() async throws {
            let path = application.path((user.map { "/users/\($0.encoded)" } ?? "") + "/revoke")
            try await application.server.show(
                .POST, path, missing: user == nil ? ApplicationFlags.missing : UserFlags.missing
            ) { (revoked: Revoked) in "Tokens are taken from \(revoked.tokens_valid_after.printable) on." }
        }
    }

    struct UserFlags: ParsableArguments {
        static let missing = "such user"

        @OptionGroup var application: ApplicationFlags
        @Argument(help: "The user's id.") var user: UserName

        fileprivate func show(_ method: HTTPMethod, _ rest: String = "", _ body: JSONText? = nil) async throws {
            try await application.server.show(
                method, application.path("/users/\(user.encoded)\(rest)"), body, missing: Self.missing
            ) { (user: Item) in
                [
                    "id:          \(user.id)", "name:        \(user.name ?? "none")", "created:     \(user.created_at)",
                    "blocked:     \(user.blocked_at.map { "since \($0)" } ?? "no")",
                    "tokens from: \(user.tokens_valid_after ?? "any time")",
                ].map(\.printable).joined(separator: "\n")
            }
        }
    }
}
