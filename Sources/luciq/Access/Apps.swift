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

    struct Application: Codable {
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

        @OptionGroup var flags: AccessFlags

        func run() async throws {
            try await flags.withServer { server in
                var all: [Application] = []
                var page: [Application]
                repeat {
                    let after = all.last.map { "&after=\($0.id)" } ?? ""
                    page = try await server.call(
                        .GET, "/applications?limit=500\(after)", missing: "list of applications",
                        as: [Application].self)
                    all += page
                } while page.count == 500
                if flags.json { return try printJSON(all) }
                guard !all.isEmpty else { return print("There are no applications.") }
                var table = Table("ID", "NAME", "PATH TOKEN", "CHATS", "MESSAGES", "CREATED", "STATE")
                for application in all {
                    table.add(
                        application.id, application.name, application.path_token, "\(application.chats_count)",
                        "\(application.messages_count)", application.created_at, application.state)
                }
                print(table.text())
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an application.",
            discussion: "Prints its id, and its token: put it away.")

        @Argument(help: "Its name.") var name: String
        @OptionGroup var flags: AccessFlags

        private struct Created: Codable {
            let id: String
            let name: String
            let token: String
        }

        func run() async throws {
            try await flags.withServer { server in
                let created = try await server.call(
                    .POST, "/applications", ["name": name], missing: "API", as: Created.self)
                if flags.json { return try printJSON(created) }
                print("id:    \(created.id.printable)\ntoken: \(created.token.printable)")
            }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Change an application.")

        @Argument(help: "Its id, or its token.") var app: ApplicationName
        @Option(help: "Its new name.") var name: String?
        @Option(
            help: """
                What the token in the path is worth: credential (it opens everything), identifier (a key is needed beside \
                it) or off.
                """)
        var pathToken: PathToken?
        @OptionGroup var flags: AccessFlags

        enum PathToken: String, CaseIterable, ExpressibleByArgument { case credential, identifier, off }

        private struct Change: Encodable {
            let name: String?
            let path_token: String?
        }

        private struct Changed: Codable {
            let name: String
            let path_token: String?
        }

        func run() async throws {
            guard name != nil || pathToken != nil else {
                throw ExitStatus.usage("There is nothing to change: pass --name or --path-token.")
            }
            try await flags.withServer { server in
                let changed = try await server.call(
                    .PATCH, "/applications/\(app.text)", Change(name: name, path_token: pathToken?.rawValue),
                    missing: "such application", as: Changed.self)
                if flags.json { return try printJSON(changed) }
                let token = changed.path_token.map { "; the token in the path is now: \($0)" } ?? ""
                print("\(changed.name)\(token)".printable)
            }
        }
    }
}
