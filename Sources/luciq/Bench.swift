import ArgumentParser
import ChatCore
import ChatHTTP
import Hummingbird
import Logging

/// What `make bench` needs beside the product: the ceilings to compare with, and a large database. Hidden from --help.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "For make bench.", shouldDisplay: false,
        subcommands: [Ceiling.self, Fill.self, Inserts.self, Jobs.self, Streams.self])

    /// The product's server with two routes more: what they reach is the most that this HTTP stack can do.
    struct Ceiling: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Serve, with /noop beside the API.")

        @OptionGroup var database: DatabaseFlags
        @OptionGroup var flags: ServeFlags

        func run() async throws {
            var server = Server(database: database, flags: flags)
            server.extraRoutes = { addNoopRoutes(to: $0) { StandardStreams.tell("A thread hangs.\n") } }
            try await server.run()
        }
    }

    struct Fill: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Fill a new database through the store's own log.")

        @OptionGroup var database: DatabaseFlags
        @Option(help: "Messages, spread over the chats in turn.") var messages: Int64
        @Option(help: "Chats.") var chats: Int64 = 100

        func run() async throws {
            do {
                let location = try database.location()
                _ = try await location.keeper().migrate()
                let backend = try await location.backend(logger: Logger(label: "luciq"))
                try await fill(backend)
                try backend.close()
            } catch let problem as StoreProblem {
                throw ExitStatus.problem(problem)
            }
        }

        /// Prints the token of the application it made.
        private func fill(_ backend: Backend) async throws {
            let token = Tenant.Token.random()
            _ = try await backend.tenantLog.apply([.create(name: "bench", token: token)], at: WallClock.system.now())
            guard let tenant = try await backend.tenants.id(of: token) else { throw ChatError.notFound }
            var ids: [Chat.ID] = []
            for _ in 0..<chats {
                let results = try await backend.newChatLog.append([NewChat(tenant: tenant)], at: WallClock.system.now())
                let number = try results[0].get().number
                guard let id = try await backend.chats.id(of: number, in: tenant) else { throw ChatError.notFound }
                ids.append(id)
            }
            let bar = ProgressBar(of: "messages")
            var done: Int64 = 0
            while done < messages {
                let count = min(10_000, messages - done)
                let batch = (done..<done + count).map { index in
                    NewMessage(tenant: tenant, chat: ids[Int(index % chats)], body: Self.body(index))
                }
                _ = try await backend.chatLog.append(batch, at: WallClock.system.now())
                done += count
                bar.update(done, of: messages)
            }
            bar.finish()
            print(token.text)
        }

        /// About 100 bytes, none of it the word that the search looks for, but in every 50,000th message.
        static func body(_ index: Int64) -> String {
            let text =
                "message \(index): the quick brown fox jumps over the lazy dog and then it sleeps until the morning"
            return index % 50_000 == 49_999 ? text + " xylophone" : text
        }
    }
}
