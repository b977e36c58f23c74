import ChatCore
import Foundation
import GRDB
import Scheduling

/// The embedded store: one SQLite file in WAL mode, one writer, a few readers.
package struct SQLiteStore: Sendable {
    /// The writer's connection, and some for rare reads.
    let pool: DatabasePool
    /// The thread that writes batches.
    let writeThread = ThreadExecutor(name: "luciq-writer", for: .tasks)
    /// The threads that search.
    let searchThreads = (0..<2).map { _ in ThreadExecutor(name: "luciq-search", for: .tasks, priority: .low) }
    let readers: SQLiteReaders
    let bus = LocalBus()
    let changed = ChangedChats()
    /// Separate connections for reads that scan many rows, so that they never delay short ones.
    let scans: DatabasePool
    /// The time limit of one search.
    var searchDeadline = SearchWalk.deadline
    /// Measures clients' reads.
    var observer = ReadObserver.none
    /// The clock for the age of idempotency keys.
    var keyClock = KeyClock()
    private let file: SQLiteFile?

    /// Opens (or creates) the file in an existing folder. Does not change the schema: see `migrate`.
    ///
    /// - Parameters:
    ///   - file: holds the file for this process; nil to read one that another process may serve.
    /// - Throws: `StoreProblem`.
    package init(path: String, file: SQLiteFile?) throws {
        self.file = file
        let readOnly = file == nil
        do {
            self.pool = try DatabasePool(
                path: path, configuration: Self.configuration(readers: 1, cacheKiB: 4096, readOnly: readOnly))
            // GRDB sets NORMAL for WAL, which may lose the last transactions with the power. Promise 1 wants FULL:
            // the log is flushed before a commit returns. On macOS only F_FULLFSYNC reaches the disk.
            if !readOnly {
                try pool.writeWithoutTransaction { db in
                    try db.execute(
                        sql: """
                            PRAGMA synchronous = FULL;
                            PRAGMA fullfsync = ON;
                            PRAGMA wal_autocheckpoint = 4000;
                            PRAGMA journal_size_limit = 67108864;
                            """)
                }
            }
            self.readers = SQLiteReaders(path: path, kept: ProcessInfo.processInfo.activeProcessorCount + 2) {
                try file?.verify()
            }
            // The blocks of 150,000 messages stay in the cache: a search of them then takes three fifths of the time. SQLite's
            // memory-mapped reads would be as fast, and for any size, but a file that is cut or has a bad sector would end
            // the process by SIGBUS instead of failing one search.
            self.scans = try DatabasePool(
                path: path,
                configuration: Self.configuration(readers: searchThreads.count, cacheKiB: 16_384, readOnly: true))
        } catch {
            throw StoreProblem("Cannot open the database \(path): \(Self.reason(error)).")
        }
    }

    private static func configuration(readers: Int, cacheKiB: Int, readOnly: Bool) -> Configuration {
        var configuration = Configuration()
        configuration.readonly = readOnly
        configuration.label = "luciq"
        configuration.maximumReaderCount = readers
        // Another process (`luciq verify`, a backup) may hold the file for a moment.
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA cache_size = -\(cacheKiB)")
            RowFilter.register(db.sqliteConnection)
        }
        return configuration
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as DatabaseError: error.message ?? "error \(error.resultCode.rawValue)"
        default: error.localizedDescription
        }
    }

    /// Migrates the schema. Quick if it is up to date.
    ///
    /// - Throws: `StoreProblem` if a newer luciq has made the file.
    package func migrate() throws {
        do {
            let migrator = SQLiteMigrations.migrator
            guard try !pool.read(migrator.hasBeenSuperseded) else {
                throw StoreProblem(
                    "This database was made by a newer luciq. Use that version, or another DATABASE_URL.")
            }
            if try !pool.read(migrator.hasCompletedMigrations) { try migrator.migrate(pool) }
            try pool.write { db in
                if try Int32.fetchOne(db, sql: "PRAGMA application_id") != FileOwner.applicationID {
                    try db.execute(sql: "PRAGMA application_id = \(FileOwner.applicationID)")
                }
            }
        } catch let error as DatabaseError {
            throw StoreProblem("Cannot migrate the database: \(Self.reason(error)).")
        }
    }

    /// Gives `file` the list of files that SQLite has open, and marks the database, so that a copy of it is recognised.
    ///
    /// - Throws: `StoreProblem`.
    func watchFile() throws {
        guard let file else { return }
        let mark = FileMark.random()
        do {
            let before = try pool.write { db in
                let before = try Int32.fetchOne(db, sql: "PRAGMA user_version") ?? 0
                try db.execute(sql: "PRAGMA user_version = \(mark)")
                return before
            }
            // Only in part while another process reads; later checkpoints do the rest.
            try pool.writeWithoutTransaction { _ = try $0.checkpoint(.passive) }
            file.remember(try OpenFiles(file, mark: mark, before: before))
        } catch let error as DatabaseError {
            throw StoreProblem("Cannot write the database \(file.path): \(Self.reason(error)).")
        }
    }

    /// Copies the whole log into the database file.
    ///
    /// - Returns: whether all of it was copied. A process that reads the file may prevent some of it, which is as safe.
    func foldLog() -> Bool {
        let folded: Void? = try? pool.writeWithoutTransaction { db in
            try FileMark.needsNoLog(db)
            try db.checkpoint(.full)
        }
        return folded != nil
    }

    /// Folds the log into the file and closes every connection, even when one of them fails.
    package func close() throws {
        for thread in [writeThread] + searchThreads { thread.stop() }
        readers.close()
        if let loss = file?.check() {
            if loss.leavesContentWhole { _ = foldLog() }
            // When it closes, SQLite copies the log into the file, and deletes it by its name: both may belong to
            // another database by now. So nothing is closed before the process ends.
            for leaked in [pool, scans] { _ = Unmanaged.passRetained(leaked) }
            return
        }
        let scansClosed = Result { try scans.close() }
        // GRDB closes its writer before its readers, and a reader cannot do this. While another process reads the file
        // (`luciq verify`), the log stays, which is as safe.
        if file != nil {
            _ = try? pool.writeWithoutTransaction { db in
                try FileMark.needsNoLog(db)
                try db.checkpoint(.truncate)
            }
        }
        let poolClosed = Result { try pool.close() }
        try scansClosed.get()
        try poolClosed.get()
    }

    /// A short read for a client, on this thread.
    func read<Result>(
        _ operation: ReadObserver.Operation, _ body: (SQLiteReaders.Reader) throws -> Result
    ) throws -> Result {
        let reading = observer.begin(operation)
        if file?.isLost == true { throw reading.end(SQLiteFile.lost) }
        do {
            let result = try readers.read(body)
            reading.end()
            return result
        } catch {
            throw reading.end(ChatError(driver: error))
        }
    }

    /// A long read for a client, in one snapshot, measured. It is on this thread: call it from a task that prefers one of
    /// `searchThreads`.
    func scan<Result: Sendable>(
        _ operation: ReadObserver.Operation, _ body: @Sendable (Database) throws -> Result
    ) async throws -> Result {
        try await observer.observe(operation) { try scanNow(body) }
    }

    private func scanNow<Result>(_ body: (Database) throws -> Result) throws -> Result {
        try file?.verify()
        do { return try scans.read(body) } catch { throw Self.error(ofScan: error) }
    }

    /// A long read, in one snapshot, on another thread.
    func scan<Result: Sendable>(_ body: @escaping @Sendable (Database) throws -> Result) async throws -> Result {
        try file?.verify()
        do {
            return try await scans.read(body)
        } catch {
            // GRDB interrupts the statement of a task that is cancelled.
            try Task.checkCancellation()
            throw Self.error(ofScan: error)
        }
    }

    private static func error(ofScan error: any Error) -> any Error {
        switch error {
        case is ChatError, is CancellationError, is StoreProblem: error
        default: ChatError(driver: error)
        }
    }

    /// One transaction, on this thread: call it from a task that prefers `writeThread`.
    ///
    /// - Parameter isFlushed: whether it is durable when this returns; else when the next one that is returns, or not at
    ///   all.
    /// - Throws: `ChatError.outcomeUnknown` if it was written to a file that the next start may not find.
    func write<Result>(isFlushed: Bool = true, _ body: (Database) throws -> Result) throws -> Result {
        try file?.verify()
        let result: Result
        do {
            result = try isFlushed ? pool.write(body) : writeUnflushed(body)
        } catch {
            throw ChatError(driver: error)
        }
        if file?.check() != nil { throw ChatError.outcomeUnknown }
        return result
    }

    /// In WAL mode, SQLite's `NORMAL` leaves the flush to the next commit that has one, which flushes the log as a whole.
    private func writeUnflushed<Result>(_ body: (Database) throws -> Result) throws -> Result {
        try pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA synchronous = NORMAL")
            defer {
                // It only sets a number, and a connection that cannot do that is no use.
                do { try db.execute(sql: "PRAGMA synchronous = FULL") } catch { preconditionFailure("\(error)") }
            }
            var result: Result?
            try db.inTransaction(.immediate) {
                result = try body(db)
                return .commit
            }
            return result!
        }
    }

    /// - Throws: `ChatError.unavailable` if the file cannot be read or written, or is not the one that the next start
    ///   opens.
    func probe() throws {
        do throws(ChatError) {
            try file?.verify()
            try file?.verifyWritable()
        } catch { throw observer.begin(.probe).end(error) }
        try read(.probe) { db in _ = try Query(db, "SELECT 1 FROM applications LIMIT 1").next() }
    }
}
