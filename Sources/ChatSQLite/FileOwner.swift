import ChatCore
import Foundation
import GRDB

/// The owner of a SQLite file. SQLite opens any file, and we would add tables to another program's or delete them.
enum FileOwner {
    /// Ours, with our `PRAGMA application_id`.
    case luciq
    /// Ours, from a version that did not set it.
    case earlierLuciq
    /// Unowned: missing, or empty.
    case nobody

    /// `LUCQ`, as file(1) would show it (docs/decisions/0014-sqlite-file.md).
    static let applicationID: Int32 = 0x4C55_4351

    /// Reads a file, which may be missing, without changing it.
    ///
    /// - Throws: `StoreProblem` for another program's file, or if it cannot be read.
    init(path: String) throws {
        var status = stat()
        guard stat(path, &status) == 0 else { self = .nobody; return }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Self.noDatabase(path)
        }
        guard status.st_size > 0 else { self = .nobody; return }
        do {
            var configuration = Configuration()
            // Otherwise the last connection that closes copies a log into the file, and deletes the log.
            configuration.readonly = true
            configuration.busyMode = .timeout(5)
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            defer { try? queue.close() }  // Nothing was written.
            self = try queue.read { try FileOwner($0, path) }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_NOTADB {
            throw Self.noDatabase(path)
        } catch let error as DatabaseError {
            throw StoreProblem(
                "Cannot open the database \(path): \(error.message ?? "error \(error.resultCode.rawValue)").")
        }
    }

    private static func noDatabase(_ path: String) -> StoreProblem {
        StoreProblem(
            "\(path) is not a SQLite database, or is encrypted; nothing was changed. Choose another DATABASE_URL.")
    }

    /// - Throws: `StoreProblem` for another program's; `DatabaseError`.
    init(_ db: Database, _ path: String) throws {
        let id = try Int32.fetchOne(db, sql: "PRAGMA application_id")
        if id == Self.applicationID { self = .luciq; return }
        let tables = try String.fetchSet(
            db, sql: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
        if id == 0, tables.isEmpty { self = .nobody; return }
        let first = SQLiteMigrations.migrator.migrations[0]
        let isEarlier =
            try id == 0 && tables.isSuperset(of: ["grdb_migrations", "applications", "chats", "messages"])
            && Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM grdb_migrations WHERE identifier = ?)", arguments: [first])
                ?? false
        guard isEarlier else {
            throw StoreProblem(
                "\(path) is a database of another program; nothing was changed. Choose another DATABASE_URL.")
        }
        self = .earlierLuciq
    }
}
