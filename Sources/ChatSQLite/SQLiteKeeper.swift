package import ChatCore
import Foundation

/// Looks after one SQLite file.
package struct SQLiteKeeper: StoreKeeper {
    private let path: String

    package init(path: String) { self.path = path }

    package func create() async throws { _ = try await migrate() }

    package func migrate() async throws -> [String] {
        let before = FileManager.default.fileExists(atPath: path) ? try await status().applied : []
        let (store, lock) = try SQLiteStore.openExclusively(path: path)
        // The work is done; an unclean close is mended at the next opening.
        defer { withExtendedLifetime(lock) { try? store.close() } }
        return try await store.status().applied.filter { !before.contains($0) }
    }

    package func status() async throws -> StoreStatus {
        try checkExists()
        let store = try SQLiteStore(path: path, readOnly: true)
        defer { try? store.close() }  // Nothing was written.
        return try await store.status()
    }

    package func reset() async throws {
        try checkIsDatabase()
        // Held until the new database is there, so that no server opens what is being deleted.
        let lock = try SQLiteLock(database: path)
        // The log first: an old one beside a new file would be taken for its own.
        for suffix in ["-wal", "-shm", ""] where FileManager.default.fileExists(atPath: path + suffix) {
            try FileManager.default.removeItem(atPath: path + suffix)
        }
        let store = try SQLiteStore(path: path)
        try store.migrate()
        try store.close()
        withExtendedLifetime(lock) {}
    }

    package func verify(
        mends: Bool, progress: @escaping @Sendable (Int64, Int64) -> Void
    ) async throws -> StoreReport {
        // One transaction holds a message and every count of it: what is off here is damage, for a person to look at.
        guard !mends else {
            throw StoreProblem("--mend is for the cluster; an embedded database has nothing that mends itself.")
        }
        try checkExists()
        let store = try SQLiteStore(path: path, readOnly: true)
        defer { try? store.close() }  // Nothing was written.
        guard try await store.status().pending.isEmpty else {
            throw StoreProblem("\(path) is not up to date. Mend it with luciq db migrate.")
        }
        return try await store.verify(progress: progress)
    }

    package func close() {}

    private func checkExists() throws {
        guard FileManager.default.fileExists(atPath: path) else {
            throw StoreProblem("There is no database at \(path). Create it with luciq db migrate.")
        }
    }

    /// What is deleted is a database, not whatever a mistaken path leads to.
    private func checkIsDatabase() throws {
        var status = stat()
        guard stat(path, &status) == 0 else { return }
        let isFile = status.st_mode & S_IFMT == S_IFREG
        let start = isFile ? FileHandle(forReadingAtPath: path)?.readData(ofLength: 16) : nil
        guard let start, start.isEmpty || start == Data("SQLite format 3\0".utf8) else {
            throw StoreProblem("\(path) is no SQLite database; nothing was deleted.")
        }
    }
}
