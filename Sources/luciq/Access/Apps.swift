import ArgumentParser
import ChatCore
import NIOHTTP1

struct Apps: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apps",
        abstract: "List, make, change and delete applications.",
        discussion: AccessFlags.keyHelp,
        subcommands: [
            List.self, Create.self, Set.self, Limits.self, Origins.self, Rotate.self, Suspend.self, Resume.self,
            Delete.self, Audit.self,
        ]
    )

    struct Application: Decodable {
        let id: String
        let name: String
        let path_token: String
        let chats_count: Int64
        let messages_count: Int64
        let created_at: String
        let suspended_at: String?
        let deletes_at: String?

        var state: String {
            if let deletes_at { return "suspended, to be deleted at \(deletes_at)" }
            return suspended_at.map { "suspended since \($0)" } ?? "active"
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List all applications. Needs LUCIQ_ADMIN_KEY.")

        @OptionGroup var server: AccessFlags

        func run() async throws {
            try await server.list(
                "/applications?limit=500", missing: "list of applications", empty: "There are no applications.",
                ["ID", "NAME", "PATH TOKEN", "CHATS", "MESSAGES", "CREATED", "STATE"]
            ) { (application: Application) in
                [
                    application.id, application.name, application.path_token, "\(application.chats_count)",
                    "\(application.messages_count)", application.created_at, application.state,
                ]
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an application.",
            discussion: "Prints its id, and its token: put it away.")

        @Argument(help: "Its name.") var name: String
        @OptionGroup var server: AccessFlags

        private struct Created: Decodable {
            let id: String
            let token: String
        }

        func run() async throws {
            try await server.show(.POST, "/applications", ["name": name], missing: "API") { (created: Created) in
                "id:    \(created.id.printable)\ntoken: \(created.token.printable)"
            }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Change an application.")

        @OptionGroup var application: ApplicationFlags
        @Option(help: "Its new name.") var name: String?
        @Option(
            help: """
                What the token in the path is worth: credential (it opens everything), identifier (a key is needed beside \
                it) or off.
                """)
        var pathToken: PathToken?

        enum PathToken: String, CaseIterable, ExpressibleByArgument { case credential, identifier, off }

        private struct Change: Encodable {
            let name: String?
            let path_token: String?
        }

        private struct Changed: Decodable {
            let name: String
            let path_token: String?
        }

        func run() async throws {
            guard name != nil || pathToken != nil else {
                throw ExitStatus.usage("There is nothing to change: pass --name or --path-token.")
            }
            try await application.server.show(
                .PATCH, application.path(), Change(name: name, path_token: pathToken?.rawValue),
                missing: ApplicationFlags.missing
            ) { (changed: Changed) in
                let token = changed.path_token.map { "; the token in the path is now: \($0)" } ?? ""
                return "\(changed.name)\(token)".printable
            }
        }
    }
}
