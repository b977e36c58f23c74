import ArgumentParser
import ChatSQLite
import Foundation

struct DB: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "db",
        abstract: "Look after the database.",
        subcommands: [Migrate.self, Status.self, Reset.self]
    )

    struct Migrate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Create the database or bring its schema up to date.")

        @OptionGroup var database: DatabaseFlags

        func run() async throws {
            let path = try await database.path()
            try await reportingProblems {
                let (store, _) = try SQLiteStore.openExclusively(path: path)
                defer { try? store.close() }  // The work is done; an unclean close is mended at the next opening.
                print("\(path) is up to date: \(try await store.status().applied.joined(separator: ", ")).")
            }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what the database holds and whether it is up to date.")

        @OptionGroup var database: DatabaseFlags
        @Flag(help: "Print one JSON object.") var json = false

        func run() async throws {
            let path = try await database.existingPath()
            try await reportingProblems {
                let store = try SQLiteStore(path: path, readOnly: true)
                defer { try? store.close() }  // Nothing was written.
                let status = try await store.status()
                if json { return try printJSON(status) }
                print(
                    """
                    database:     \(status.path) (SQLite \(status.sqliteVersion))
                    migrations:   \(status.applied.isEmpty ? "none" : status.applied.joined(separator: ", "))
                    pending:      \(status.pending.isEmpty ? "none" : status.pending.joined(separator: ", "))
                    applications: \(status.applications)
                    chats:        \(status.chats)
                    messages:     \(status.messages)
                    """)
            }
        }
    }

    struct Reset: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Delete everything and start with an empty database.")

        @OptionGroup var database: DatabaseFlags
        @Flag(help: "Do not ask.") var yes = false

        func run() async throws {
            let path = try await database.path()
            try await reportingProblems {
                try Self.checkIsDatabase(path)
                // Held until the new database is there, so that no server opens what is being deleted.
                let lock = try SQLiteLock(database: path)
                guard yes || confirm(path) else {
                    throw ExitStatus.unavailable("Nothing was deleted. Answer with yes, or pass --yes.")
                }
                // The log first: an old one beside a new file would be taken for its own.
                for suffix in ["-wal", "-shm", ""] where FileManager.default.fileExists(atPath: path + suffix) {
                    try FileManager.default.removeItem(atPath: path + suffix)
                }
                let store = try SQLiteStore(path: path)
                try store.migrate()
                try store.close()
                withExtendedLifetime(lock) { print("\(path) is empty.") }
            }
        }

        /// What is deleted is a database, not whatever a mistaken path leads to.
        private static func checkIsDatabase(_ path: String) throws {
            var status = stat()
            guard stat(path, &status) == 0 else { return }
            let isFile = status.st_mode & S_IFMT == S_IFREG
            let start = isFile ? FileHandle(forReadingAtPath: path)?.readData(ofLength: 16) : nil
            guard let start, start.isEmpty || start == Data("SQLite format 3\0".utf8) else {
                throw SQLiteProblem("\(path) is no SQLite database; nothing was deleted.")
            }
        }

        private func confirm(_ path: String) -> Bool {
            print("This deletes every application, chat and message in \(path). Type yes to go on: ", terminator: "")
            fflush(nil)
            return readLine() == "yes"
        }
    }
}

extension DatabaseFlags {
    /// The SQLite file that the settings name.
    func path() async throws -> String {
        do {
            return try await Settings(flags: values, file: config).databasePath()
        } catch let invalid as Settings.Invalid {
            throw ExitStatus.configuration(invalid.description)
        }
    }

    /// The same, where looking must not create it.
    func existingPath() async throws -> String {
        let path = try await path()
        guard FileManager.default.fileExists(atPath: path) else {
            throw ExitStatus.unavailable("There is no database at \(path). Create it with luciq db migrate.")
        }
        return path
    }
}

/// Runs a command's work; a problem with the file becomes one sentence and exit code 69.
func reportingProblems(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let code as ExitCode {
        throw code
    } catch let problem as SQLiteProblem {
        throw ExitStatus.unavailable(problem.description)
    } catch {
        throw ExitStatus.unavailable(String(describing: error))
    }
}

/// Prints a value as one JSON object, keys sorted.
func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
}
