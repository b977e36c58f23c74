import ArgumentParser
import ChatCore
import NIOHTTP1

extension Apps {
    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give an application a new token, and print it.",
            discussion: "The old token works for a while longer. One that was replaced before ends at once.")

        @Argument(help: "Its id, or its token.") var app: ApplicationName
        @Option(
            help: ArgumentHelp("How long the old token works, up to 30 days. 0 ends it now.", valueName: "seconds"))
        var overlap: Int64 = 86_400
        @OptionGroup var flags: AccessFlags

        private struct Change: Encodable { let overlap_s: Int64 }

        private struct Rotated: Codable {
            let token: String
            let old_token_until: String?
        }

        func run() async throws {
            guard TenantScope.overlaps.contains(overlap) else {
                throw ExitStatus.usage("--overlap must be a number from 0 to \(TenantScope.overlaps.upperBound).")
            }
            try await flags.withServer { server in
                let rotated = try await server.call(
                    .POST, "/applications/\(app.text)/rotate", Change(overlap_s: overlap),
                    missing: "such application", as: Rotated.self)
                if flags.json { return try printJSON(rotated) }
                print("token:           \(rotated.token.printable)")
                print("old token until: \((rotated.old_token_until ?? "now").printable)")
            }
        }
    }

    struct Suspend: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Suspend an application. Needs LUCIQ_ADMIN_KEY.",
            discussion: "Everyone but the server's own keys is refused, and all its streams end, within 10 seconds.")

        @Argument(help: "Its id, or its token.") var app: ApplicationName
        @OptionGroup var flags: AccessFlags

        func run() async throws { try await flags.change(app, .POST, "/suspension") }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "End the suspension of an application. Needs LUCIQ_ADMIN_KEY.",
            discussion: "It also takes a deletion back that has not begun.")

        @Argument(help: "Its id, or its token.") var app: ApplicationName
        @OptionGroup var flags: AccessFlags

        func run() async throws { try await flags.change(app, .DELETE, "/suspension") }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete an application with all its chats and messages. Needs LUCIQ_ADMIN_KEY.",
            discussion: "It is suspended at once. Until the time that is printed, luciq apps resume takes it back.")

        @Argument(help: "Its id, or its token.") var app: ApplicationName
        @OptionGroup var flags: AccessFlags

        func run() async throws { try await flags.change(app, .DELETE, "") }
    }

    struct Audit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List who changed an application and its keys, the newest first.")

        @Argument(help: "Its id, or its token.") var app: ApplicationName
        @Option(help: "How many changes, up to 1000.") var limit = 100
        @Option(help: ArgumentHelp("Only changes before this one.", valueName: "id")) var before: Int64?
        @OptionGroup var flags: AccessFlags

        private struct Entry: Codable {
            let id: Int64
            let created_at: String
            let principal: String
            let action: String
            let target: String?
            let request_id: String?
            let address: String?
        }

        func run() async throws {
            guard Page.limits.contains(limit) else {
                throw ExitStatus.usage("--limit must be a number from 1 to \(Page.limits.upperBound).")
            }
            try await flags.withServer { server in
                let before = before.map { "&before=\($0)" } ?? ""
                let entries = try await server.call(
                    .GET, "/applications/\(app.text)/audit?order=desc&limit=\(limit)\(before)",
                    missing: "such application", as: [Entry].self)
                if flags.json { return try printJSON(entries) }
                guard !entries.isEmpty else { return print("There are no changes.") }
                var table = Table("ID", "TIME", "PRINCIPAL", "ACTION", "TARGET", "ADDRESS")
                for entry in entries {
                    table.add(
                        "\(entry.id)", entry.created_at, entry.principal, entry.action, entry.target ?? "",
                        entry.address ?? "")
                }
                print(table.text())
            }
        }
    }
}

extension AccessFlags {
    /// Suspends, resumes or deletes an application, and says what it is now.
    fileprivate func change(_ app: ApplicationName, _ method: HTTPMethod, _ path: String) async throws {
        try await withServer { server in
            let application = try await server.call(
                method, "/applications/\(app.text)\(path)", missing: "such application", as: Apps.Application.self)
            if json { return try printJSON(application) }
            print("\(application.name) (\(application.id)) is \(application.state).".printable)
        }
    }
}
