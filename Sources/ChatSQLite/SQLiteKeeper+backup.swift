import ChatCore
import Foundation
import GRDB

extension SQLiteKeeper {
    /// Copies one snapshot, even of a running server, into a new file without a log.
    package func backup(
        to copy: String, progress: @escaping @Sendable (Int64, Int64) -> Void
    ) async throws {
        try checkExists()
        guard case .luciq = try FileOwner(path: path) else {
            throw StoreProblem("\(path) is not up to date. Run luciq db migrate.")
        }
        if let missing = FileMark.missingLog(of: path) { throw StoreProblem(missing) }
        guard !FileManager.default.fileExists(atPath: copy) else {
            throw StoreProblem("\(copy) is there already. Choose another name.")
        }
        let partial = copy + ".partial"
        try Self.makeEmpty(partial)
        do {
            try Self.copy(path, to: partial, progress: progress)
            try Self.put(partial, at: copy)
        } catch {
            unlink(partial)
            throw Self.problem(error, "Cannot back up \(path) to \(copy)")
        }
    }

    /// Puts a backup in the database's place, and keeps the old database as `….before-restore`.
    package func restore(
        from copy: String, progress: @escaping @Sendable (Int64, Int64) -> Void
    ) async throws {
        guard FileManager.default.fileExists(atPath: copy) else { throw StoreProblem("There is no file \(copy).") }
        guard FileIdentity(path: copy) != FileIdentity(path: path) else {
            throw StoreProblem("\(copy) is the database itself.")
        }
        guard case .luciq = try FileOwner(path: copy) else {
            throw StoreProblem("\(copy) is not a backup of an up-to-date database; nothing was changed.")
        }
        if let missing = FileMark.missingLog(of: copy) { throw StoreProblem("\(missing) Nothing was changed.") }
        _ = try FileOwner(path: path)
        let kept = path + ".before-restore"
        guard !FileManager.default.fileExists(atPath: kept) else {
            throw StoreProblem("\(kept) is there already, from an earlier restore. Move it away; nothing was changed.")
        }
        // The lock first: it fails if a server runs, and none can start meanwhile.
        let old = try SQLiteFile(path: path)
        do {
            let held = FileIdentity(path: path)
            let fresh = try old.replaced { fresh in
                try Self.copy(copy, to: fresh, progress: progress)
                // Fold the old database into one file, which has two names until the new one takes the first.
                if Self.isDatabase(path) {
                    let store = try SQLiteStore(path: path, file: old)
                    try store.close()
                    guard !FileManager.default.fileExists(atPath: path + "-wal") else {
                        throw StoreProblem("Another program has \(path) open. Close it; nothing was changed.")
                    }
                    guard held == FileIdentity(path: path), link(path, kept) == 0 else {
                        throw StoreProblem("Cannot keep \(path) as \(kept): \(String(cString: strerror(errno))).")
                    }
                }
            }
            withExtendedLifetime((old, fresh)) {}
        } catch {
            throw Self.problem(error, "Cannot restore \(copy); nothing was changed")
        }
    }

    private static func isDatabase(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_size > 0
    }

    /// - Parameter target: an empty file.
    private static func copy(
        _ source: String, to target: String, progress: @escaping @Sendable (Int64, Int64) -> Void
    ) throws {
        var reading = Configuration()
        reading.readonly = true
        reading.busyMode = .timeout(5)
        let from = try DatabaseQueue(path: source, configuration: reading)
        let to = try DatabaseQueue(path: target)
        try from.read { from in
            // The snapshot begins here and lasts for all steps. Without it SQLite would restart after each write of a server.
            _ = try Int.fetchOne(from, sql: "SELECT COUNT(*) FROM sqlite_master")
            try to.writeWithoutTransaction { to in
                try to.execute(sql: "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON")
                // 4 MiB per step.
                try from.backup(to: to, pagesPerStep: 1024) { step in
                    progress(Int64(step.completedPageCount), Int64(step.totalPageCount))
                }
                // Make the file complete without a log, and mark it so.
                try to.execute(sql: "PRAGMA journal_mode = DELETE; PRAGMA user_version = 0")
            }
        }
        try to.close()
        try from.close()
        try SQLiteFile.flush(target)
    }

    private static func makeEmpty(_ partial: String) throws {
        let descriptor = open(partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            if errno == EEXIST {
                throw StoreProblem(
                    "\(partial) is there: another backup is under way, or one was killed. Remove it in that case.")
            }
            throw StoreProblem("Cannot create \(partial): \(String(cString: strerror(errno))).")
        }
        Foundation.close(descriptor)
    }

    private static func put(_ partial: String, at copy: String) throws {
        // A link, unlike a rename, never replaces a file that appeared meanwhile. Some file systems have no links.
        if link(partial, copy) == 0 {
            unlink(partial)
        } else if errno == EEXIST {
            throw StoreProblem("\(copy) is there already. Choose another name.")
        } else if rename(partial, copy) != 0 {
            throw StoreProblem("Cannot name \(copy): \(String(cString: strerror(errno))).")
        }
        try SQLiteFile.flush(URL(fileURLWithPath: copy).deletingLastPathComponent().path)
    }

    private static func problem(_ error: any Error, _ what: String) -> StoreProblem {
        switch error {
        case let problem as StoreProblem: problem
        case let error as DatabaseError:
            StoreProblem("\(what): \(error.message ?? "SQLite error \(error.resultCode.rawValue)").")
        default: StoreProblem("\(what): \(error.localizedDescription).")
        }
    }
}
