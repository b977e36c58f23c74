import ArgumentParser
import ChatCore

struct Search: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search",
        abstract: "Look after the search index.",
        discussion: """
            The server (embedded) or the worker (cluster) keeps the index up to date by itself. A search is right without \
            it, and slower.
            """,
        subcommands: [Status.self, Rebuild.self, Verify.self]
    )

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Say how many messages are indexed.")

        @OptionGroup var database: DatabaseFlags
        @Flag(help: "Print one JSON object.") var json = false

        func run() async throws {
            try await database.withKeeper { keeper in
                try await keeper.withSearch(changes: false) { search in
                    let status = try await search.status()
                    if json { return try printJSON(status) }
                    let share = status.messages == 0 ? 100 : status.indexed * 100 / status.messages
                    print(
                        """
                        messages: \(status.messages)
                        indexed:  \(status.indexed) (\(share) %)
                        blocks:   \(status.blocks)
                        bytes:    \(status.bytes)
                        """)
                }
            }
        }
    }

    struct Rebuild: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Drop the index of every chat, and make it again.",
            discussion: """
                Stop the server of an embedded database first. In a cluster, servers and workers may be running. Searches \
                are right meanwhile.
                """)

        @OptionGroup var database: DatabaseFlags

        func run() async throws {
            try await database.withKeeper { keeper in
                try await keeper.withSearch(changes: true) { search in
                    let bar = ProgressBar(of: "messages")
                    try await search.rebuild { bar.update($0, of: $1) }
                    bar.finish()
                    let status = try await search.status()
                    print("Indexed \(status.indexed) of \(status.messages) messages, in \(status.blocks) blocks.")
                }
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Compare the index with the messages.",
            discussion: """
                Servers may be running. Exits with 1 if a block differs from its messages; luciq search rebuild makes it \
                again.
                """)

        @OptionGroup var database: DatabaseFlags
        @Flag(help: "Print one JSON object.") var json = false

        func run() async throws {
            try await database.withKeeper { keeper in
                try await keeper.withSearch(changes: false) { search in
                    let bar = ProgressBar(of: "messages")
                    let findings = try await search.verify { bar.update($0, of: $1) }
                    bar.finish()
                    if json { try printJSON(findings) } else { show(findings) }
                    if !findings.problems.isEmpty { throw ExitCode(1) }
                }
            }
        }

        private func show(_ findings: SearchVerifier.Findings) {
            print("chats:    \(findings.chats)\nblocks:   \(findings.blocks)\nmessages: \(findings.messages)")
            guard !findings.problems.isEmpty else { return print("Every block holds what its messages say.") }
            for problem in findings.problems { print("- \(problem)") }
            print("\(findings.problems.count) problems. luciq search rebuild makes the blocks again.")
        }
    }
}
