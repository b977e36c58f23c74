import ArgumentParser
import ChatCore
import NIOHTTP1

extension Apps {
    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give an application a new token, and print it.",
            discussion: "The old token works for a while longer. One that was replaced before ends at once.")

        @OptionGroup var application: ApplicationFlags
        @Option(
            help: ArgumentHelp("How long the old token works, up to 30 days. 0 ends it now.", valueName: "seconds"))
        var overlap: Int64 = 86_400

        private struct Change: Encodable { let overlap_s: Int64 }

        private struct Rotated: Decodable {
            let token: String
            let old_token_until: String?
        }

        func run() async throws {
            guard TenantScope.overlaps.contains(overlap) else {
                throw ExitStatus.usage("--overlap must be a number from 0 to \(TenantScope.overlaps.upperBound).")
            }
            try await application.server.show(
                .POST, application.path("/rotate"), Change(overlap_s: overlap), missing: ApplicationFlags.missing
            ) { (rotated: Rotated) in
                """
                token:           \(rotated.token.printable)
                old token until: \((rotated.old_token_until ?? "now").printable)
                """
            }
        }
    }

    struct Suspend: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Suspend an application. Needs LUCIQ_ADMIN_KEY.",
            discussion: "Everyone but the server's own keys is refused, and all its streams end, within 10 seconds.")

        @OptionGroup var application: ApplicationFlags

        func run() async throws { try await application.change(.POST, "/suspension") }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "End the suspension of an application. Needs LUCIQ_ADMIN_KEY.",
            discussion: "It also takes a deletion back that has not begun.")

        @OptionGroup var application: ApplicationFlags

        func run() async throws { try await application.change(.DELETE, "/suspension") }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete an application with all its chats and messages. Needs LUCIQ_ADMIN_KEY.",
            discussion: "It is suspended at once. Until the time that is printed, luciq apps resume takes it back.")

        @OptionGroup var application: ApplicationFlags

        func run() async throws { try await application.change(.DELETE, "") }
    }

    struct Audit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List who changed an application and its keys, the newest first.")

        @OptionGroup var application: ApplicationFlags
        @Option(help: "How many changes, up to 1000.") var limit = 100
        @Option(help: ArgumentHelp("Only changes before this one.", valueName: "id")) var before: Int64?

        private struct Entry: Decodable {
            let id: Int64
            let created_at: String
            let principal: String
            let action: String
            let target: String?
            let address: String?
        }

        func run() async throws {
            guard Page.limits.contains(limit) else {
                throw ExitStatus.usage("--limit must be a number from 1 to \(Page.limits.upperBound).")
            }
            let before = before.map { "&before=\($0)" } ?? ""
            try await application.server.list(
                application.path("/audit?order=desc&limit=\(limit)\(before)"), isWhole: false,
                missing: ApplicationFlags.missing, empty: "There are no changes.",
                ["ID", "TIME", "PRINCIPAL", "ACTION", "TARGET", "ADDRESS"]
            ) { (entry: Entry) in
                [
                    "\(entry.id)", entry.created_at, entry.principal, entry.action, entry.target ?? "",
                    entry.address ?? "",
                ]
            }
        }
    }
}

extension ApplicationFlags {
    /// Suspends, resumes or deletes the application, and says what it is now.
    fileprivate func change(_ method: HTTPMethod, _ rest: String) async throws {
        try await server.show(method, path(rest), missing: Self.missing) { (application: Apps.Application) in
            "\(application.name) (\(application.id)) is \(application.state).".printable
        }
    }
}
