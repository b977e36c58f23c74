package import ChatCore
import Foundation

/// Administers one SQLite file.
package struct SQLiteKeeper: StoreKeeper {
    let path: String

    package init(path: String) { self.path = path }

    package func create() async throws { _ = try await migrate() }

    package func migrate() async throws -> [String] {
        let before = FileManager.default.fileExists(atPath: path) ? try await status().applied : []
        let (store, file) = try SQLiteStore.openExclusively(path: path)
        // The work is done; the next opening recovers from an unclean close.
        defer { withExtendedLifetime(file) { try? store.close() } }
        return try await store.status().applied.filter { !before.contains($0) }
    }

    package func status() async throws -> StoreStatus {
        try checkExists()
        let store = try SQLiteStore(path: path, file: nil)
        defer { try? store.close() }  // Nothing was written.
        return try await store.status()
    }

    package func reset() async throws {
        _ = try FileOwner(path: path)
        // Held until the new database exists, so that no server opens the deleted one.
        let old = try SQLiteFile(path: path)
        let file = try old.replaced()
        let store = try SQLiteStore(path: path, file: file)
        try store.migrate()
        try store.close()
        withExtendedLifetime((old, file)) {}
    }

    package func verify(
        mends: Bool, progress: @escaping @Sendable (Int64, Int64) -> Void
    ) async throws -> StoreReport {
        // A message and its counts share one transaction: a mismatch is damage, which is left to people.
        guard !mends else {
            throw StoreProblem("--mend is for the cluster; an embedded database has nothing to repair.")
        }
        let missingLog = FileMark.missingLog(of: path)
        let store = try await openToRead()
        defer { try? store.close() }  // Nothing was written.
        var report = try await store.verify(progress: progress)
        if let missingLog { report.add(missingLog) }
        for problem in try await SearchUpkeep(store).verify(progress: progress).problems { report.add(problem) }
        return report
    }

    package func newEpoch(above known: Int64) async throws -> Int64 {
        try checkExists()
        let (store, file) = try SQLiteStore.openExclusively(path: path)
        defer { withExtendedLifetime(file) { try? store.close() } }  // What was stored is durable.
        let epoch = Cursor.epoch(after: try store.cursorEpoch(), known)
        try store.set(cursorEpoch: epoch)
        return epoch
    }

    package func withSearch(changes: Bool, _ body: (SearchUpkeep) async throws -> Void) async throws {
        try checkExists()
        guard changes else {
            let store = try await openToRead()
            defer { try? store.close() }  // Nothing was written.
            return try await body(SearchUpkeep(store))
        }
        let (store, file) = try SQLiteStore.openExclusively(path: path)
        // What was stored is durable; the next opening recovers from an unclean close.
        defer { withExtendedLifetime(file) { try? store.close() } }
        try await body(SearchUpkeep(store))
    }

    package func withRemovals(_ body: (any TenantRemovals & SearchGenerations) async throws -> Void) async throws {
        let store = try await openToRead()
        defer { try? store.close() }  // Nothing was written.
        try await body(store)
    }

    private func openToRead() async throws -> SQLiteStore {
        try checkExists()
        let store = try SQLiteStore(path: path, file: nil)
        guard try await store.status().pending.isEmpty else {
            try? store.close()  // Nothing was written.
            throw StoreProblem("\(path) is not up to date. Run luciq db migrate.")
        }
        return store
    }

    package func close() {}

    func checkExists() throws {
        guard FileManager.default.fileExists(atPath: path) else {
            throw StoreProblem("There is no database at \(path). Create it with luciq db migrate.")
        }
    }
}
