import ArgumentParser
import ChatCore
import ChatSearch

struct Search: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search",
        abstract: "Look after the search index.",
        discussion: """
            The server (embedded) or the worker (cluster) keeps the index up to date by itself, and that of a search \
            engine, if ELASTICSEARCH_URL names one. A search is right without them, and slower.
            """,
        subcommands: [Status.self, Rebuild.self, Reindex.self, Verify.self]
    )

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say how many messages are indexed, and what the search engine has.")

        @OptionGroup var database: DatabaseFlags
        @OptionGroup var engine: EngineFlags
        @Flag(help: "Print one JSON object.") var json = false

        func run() async throws {
            try await database.withSearch(changes: false, engine) { search, engine in
                let status = try await search.status()
                let generations = try await engine?.status()
                if json { return try printJSON(WithEngine(index: status, engine: generations)) }
                let share = status.messages == 0 ? 100 : status.indexed * 100 / status.messages
                print(
                    """
                    messages: \(status.messages)
                    indexed:  \(status.indexed) (\(share) %)
                    blocks:   \(status.blocks)
                    bytes:    \(status.bytes)
                    """)
                for generation in generations ?? [] { show(generation) }
                if generations?.isEmpty == true { print("engine:   no index yet") }
            }
        }

        private func show(_ status: EngineUpkeep.Status) {
            let documents = status.documents.map { "\($0) documents, " } ?? ""
            print("engine:   \(status.state) \(status.generation), \(documents)\(status.behind) messages behind")
            if let problem = status.problem { print("          not believed: \(problem)") }
        }

        /// The members of the index, and one more.
        private struct WithEngine: Encodable {
            let index: SearchStatus
            let engine: [EngineUpkeep.Status]?

            func encode(to encoder: any Encoder) throws {
                try index.encode(to: encoder)
                var members = encoder.container(keyedBy: Key.self)
                try members.encodeIfPresent(engine, forKey: .engine)
            }

            private enum Key: CodingKey { case engine }
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

    struct Reindex: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Build the search engine's index anew, and put it in the place of the old one.",
            discussion: """
                Stop the server of an embedded database first. In a cluster, servers and workers may be running, and the \
                old index answers meanwhile. If it is stopped, run it again: it goes on.
                """)

        @OptionGroup var database: DatabaseFlags
        @OptionGroup var engine: EngineFlags
        @Flag(help: "Print one JSON object.") var json = false

        func run() async throws {
            try await database.withSearch(changes: true, engine) { _, engine in
                guard let engine else {
                    throw ExitStatus.configuration("ELASTICSEARCH_URL must name the search engine.")
                }
                let bar = ProgressBar(of: "messages")
                try await engine.reindex { bar.update($0, of: $1) }
                bar.finish()
                guard let live = try await engine.status().first(where: { $0.state == "live" }) else { return }
                if json { return try printJSON(live) }
                print("The search engine's new index \(live.generation) has \(live.documents ?? 0) documents.")
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Compare the index, and the search engine's, with the messages.",
            discussion: """
                Servers may be running. Exits with 1 if a block differs from its messages (luciq search rebuild makes it \
                again), or the search engine lacks a message (luciq search reindex).
                """)

        @OptionGroup var database: DatabaseFlags
        @OptionGroup var engine: EngineFlags
        @Flag(help: "Print one JSON object.") var json = false

        func run() async throws {
            try await database.withSearch(changes: false, engine) { search, engine in
                let bar = ProgressBar(of: "messages")
                let blocks = try await search.verify { bar.update($0, of: $1) }
                let messages = engine == nil ? 0 : try await search.status().messages
                let documents = try await engine?.verify {
                    bar.update(blocks.messages + $0, of: blocks.messages + messages)
                }
                bar.finish()
                if json {
                    try printJSON(WithEngine(blocks: blocks, engine: documents))
                } else {
                    show(blocks, documents)
                }
                if !blocks.problems.isEmpty || documents?.problems.isEmpty == false { throw ExitCode(1) }
            }
        }

        private func show(_ blocks: SearchVerifier.Findings, _ engine: EngineUpkeep.Findings?) {
            print("chats:    \(blocks.chats)\nblocks:   \(blocks.blocks)\nmessages: \(blocks.messages)")
            if blocks.problems.isEmpty { print("Every block holds what its messages say.") }
            for problem in blocks.problems { print("- \(problem)") }
            if !blocks.problems.isEmpty {
                print("\(blocks.problems.count) problems. luciq search rebuild makes the blocks again.")
            }
            guard let engine else { return }
            print("engine:   \(engine.messages) messages, \(engine.strays) documents without one")
            if engine.problems.isEmpty { return print("The search engine has every message that it should have.") }
            for problem in engine.problems { print("- \(problem)") }
            print("\(engine.problems.count) problems. luciq search reindex makes the index again.")
        }

        private struct WithEngine: Encodable {
            let blocks: SearchVerifier.Findings
            let engine: EngineUpkeep.Findings?

            func encode(to encoder: any Encoder) throws {
                try blocks.encode(to: encoder)
                var members = encoder.container(keyedBy: Key.self)
                try members.encodeIfPresent(engine, forKey: .engine)
            }

            private enum Key: CodingKey { case engine }
        }
    }
}

extension DatabaseFlags {
    /// Opens the search index, and the engine's if there is one.
    fileprivate func withSearch(
        changes: Bool, _ flags: EngineFlags, _ body: (SearchUpkeep, EngineUpkeep?) async throws -> Void
    ) async throws {
        let engine: ElasticsearchEngine?
        do {
            engine = try Settings(flags: values.merging(flags.values) { $1 }, file: config).engine()
        } catch let invalid as Settings.Invalid {
            throw ExitStatus.configuration(invalid.description)
        }
        try await withKeeper { keeper in
            try await keeper.withSearch(changes: changes) { search in
                do {
                    try await body(search, engine.map { EngineUpkeep($0, search.engineSource) })
                } catch let failure as SearchEngineFailure {
                    throw StoreProblem(failure.sentence)
                }
            }
        }
    }
}
