import ArgumentParser
import ChatCore
import NIOHTTP1

struct Members: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "members",
        abstract: "List, set and remove the members of a chat.",
        discussion: AccessFlags.keyHelp,
        subcommands: [List.self, Set.self, Remove.self]
    )

    private struct Item: Decodable {
        let user: String
        let role: String
        let from_number: Int64
        let joined_at: String
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the members of a chat, by their ids.")

        @OptionGroup var chat: ChatFlags

        func run() async throws {
            try await chat.application.server.list(
                chat.path("?limit=500"), missing: ChatFlags.missing, empty: "The chat has no members.",
                ["USER", "ROLE", "FROM", "JOINED"]
            ) { (member: Item) in [member.user, member.role, "#\(member.from_number)", member.joined_at] }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make a user a member, or change its role.")

        @OptionGroup var chat: ChatFlags
        @Argument(help: "The user's id.") var user: UserName
        @Option(help: "owner, admin, member, reader or banned.") var role = Role.member

        enum Role: String, CaseIterable, ExpressibleByArgument { case owner, admin, member, reader, banned }

        func run() async throws {
            try await chat.application.server.show(
                .PUT, chat.path("/\(user.encoded)"), ["role": role.rawValue], missing: ChatFlags.missing
            ) { (member: Item) in "\(member.user): \(member.role)".printable }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a member from a chat.", discussion: "Its streams of the chat end within 10 seconds.")

        @OptionGroup var chat: ChatFlags
        @Argument(help: "The user's id.") var user: UserName

        private struct Removed: Decodable { let user: String }

        func run() async throws {
            try await chat.application.server.show(
                .DELETE, chat.path("/\(user.encoded)"), missing: "such member"
            ) { (removed: Removed) in "\(removed.user) is no member any more.".printable }
        }
    }

    struct ChatFlags: ParsableArguments {
        static let missing = "such chat"

        @OptionGroup var application: ApplicationFlags
        @Argument(help: "The chat's number.") var chat: ChatNumber

        /// The path of the members, or of something behind it.
        func path(_ rest: String) -> String { application.path("/chats/\(chat.text)/members\(rest)") }
    }

    struct ChatNumber: ExpressibleByArgument {
        let text: String

        init?(argument: String) {
            guard let number = Chat.Number(digits: argument[...]) else { return nil }
            text = "\(number.rawValue)"
        }
    }
}
