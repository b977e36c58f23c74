import ArgumentParser
import ChatCore
import Foundation

struct DB: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "db",
        abstract: "Look after the database.",
        subcommands: [Create.self, Migrate.self, Status.self, Backup.self, Restore.self, NewEpoch.self, Reset.self]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create the database if it is not there, and its tables.")

        @OptionGroup var database: DatabaseFlags

        func run() async throws {
            try await database.withKeeper { keeper in
                try await keeper.create()
                _ = try await keeper.migrate()
                print("\(try await keeper.status().location) is there and up to date.")
            }
        }
    }

    struct Migrate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring the schema up to date: of an empty database, an older one, or the Rails application's.")

        @OptionGroup var database: DatabaseFlags

        func run() async throws {
            try await database.withKeeper { keeper in
                let applied = try await keeper.migrate()
                let status = try await keeper.status()
                for version in applied { print("applied \(version)") }
                print("\(status.location) is up to date: \(status.applied.joined(separator: ", ")).")
            }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what the database holds and whether it is up to date.")

        @OptionGroup var database: DatabaseFlags
        @Flag(help: "Print one JSON object.") var json = false

        func run() async throws {
            try await database.withKeeper { keeper in
                let status = try await keeper.status()
                if json { return try printJSON(status) }
                print(
                    """
                    database:     \(status.location) (\(status.engine))
                    migrations:   \(status.applied.isEmpty ? "none" : status.applied.joined(separator: ", "))
                    pending:      \(status.pending.isEmpty ? "none" : status.pending.joined(separator: ", "))
                    applications: \(status.applications)
                    chats:        \(status.chats)
                    messages:     \(status.messages)
                    epoch:        \(max(1, status.epoch))
                    """)
            }
        }
    }

    struct Backup: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Copy an embedded database into one file, as it is at this moment.",
            discussion: """
                A server may be running and goes on writing; meanwhile its -wal grows by what it writes. The copy needs no \
                other file beside it.
                """)

        @OptionGroup var database: DatabaseFlags
        @Argument(help: "The file to make. It must not be there yet.") var file: String

        func run() async throws {
            try await database.withKeeper { keeper in
                let bar = ProgressBar(of: "pages")
                try await keeper.backup(to: file) { bar.update($0, of: $1) }
                bar.finish()
                print("\(file) is a backup of \(try await keeper.status().location).")
            }
        }
    }

    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a backup in the place of an embedded database.",
            discussion: """
                Stop the server first. What was in the database is kept beside it, as a file whose name ends with \
                .before-restore.
                """)

        @OptionGroup var database: DatabaseFlags
        @Argument(help: "A file that luciq db backup made.") var file: String

        func run() async throws {
            try await database.withKeeper { keeper in
                // Nil if there is no database that one could ask, or no epoch in it.
                let known = try? await keeper.status().epoch
                let bar = ProgressBar(of: "pages")
                try await keeper.restore(from: file) { bar.update($0, of: $1) }
                bar.finish()
                // Numbers are given a second time: clients that have seen the first are told.
                _ = try await keeper.newEpoch(above: known ?? 0)
                let status = try await keeper.status()
                print("\(status.location) is restored from \(file). Messages: \(status.messages).")
            }
        }
    }

    struct NewEpoch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Refuse the cursors of before: the database was restored from a backup.",
            discussion: """
                After a restore, numbers that were given after the backup are given again, and a client that has seen the \
                first would skip the second. Cursors of streams begin with e2., e3. … from now on, and others are refused: \
                409 cursor_epoch. Clients load anew.

                Stop all servers first, and run it before Redis is emptied, which remembers the epoch. luciq db restore does \
                this by itself.
                """)

        @OptionGroup var database: DatabaseFlags
        @Option(help: "An epoch that the database had before it was restored.") var above: Int64 = 0

        func run() async throws {
            guard (0..<Int64.max).contains(above) else { throw ExitStatus.usage("--above must be a number from 0.") }
            try await database.withKeeper { keeper in
                let epoch = try await keeper.newEpoch(above: above)
                print("\(try await keeper.status().location) is in epoch \(epoch). Start the servers now.")
            }
        }
    }

    struct Reset: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Delete everything and start with an empty database.")

        @OptionGroup var database: DatabaseFlags
        @Flag(help: "Do not ask.") var yes = false

        func run() async throws {
            try await database.withKeeper { keeper in
                let location = try database.location().description
                guard yes || confirm(location) else {
                    throw ExitStatus.unavailable("Nothing was deleted. Answer with yes, or pass --yes.")
                }
                try await keeper.reset()
                print("\(location) is empty.")
            }
        }

        private func confirm(_ location: String) -> Bool {
            print(
                "This deletes every application, chat and message in \(location). Type yes to go on: ", terminator: "")
            fflush(nil)
            return readLine() == "yes"
        }
    }
}

extension DatabaseFlags {
    /// The store's location from the settings.
    func location() throws -> StoreLocation {
        do {
            return try Settings(flags: values, file: config).storeLocation()
        } catch let invalid as Settings.Invalid {
            throw ExitStatus.configuration(invalid.description)
        }
    }

    /// Runs a command; turns a problem into one sentence and an exit code.
    func withKeeper(_ body: (any StoreKeeper) async throws -> Void) async throws {
        let keeper = try location().keeper()
        do {
            try await body(keeper)
        } catch let code as ExitCode {
            throw code
        } catch let problem as StoreProblem {
            throw ExitStatus.problem(problem)
        } catch {
            throw ExitStatus.unavailable(String(describing: error))
        }
        try await keeper.close()
    }
}

/// Prints a value as one JSON object, keys sorted.
func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let lines = String(decoding: try encoder.encode(value), as: UTF8.self).split(separator: "\n")
    print(lines.map { String($0).printableJSON }.joined(separator: "\n"))
}
