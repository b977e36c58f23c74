import GRDB
import GRDBSQLite
import Synchronization

/// Connections for short reads, which run on the caller's thread.
///
/// A look-up takes a few microseconds from the page cache; handing it to another thread and back took five times as
/// long, and GRDB's pool, which synchronises with three locks a read, halved the server's throughput
/// (docs/decisions/0004-sqlite-reads.md). Reads that walk many rows go to `SQLiteStore.scans` instead.
///
/// There are never more connections in use than there are threads that read; `kept` of them stay open.
final class SQLiteReaders: Sendable {
    private struct State {
        var idle: [Reader] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let path: String
    private let kept: Int
    private let verify: @Sendable () throws -> Void

    /// - Parameter verify: throws if another file may be at the path by now.
    init(path: String, kept: Int, verify: @escaping @Sendable () throws -> Void) {
        self.path = path
        self.kept = kept
        self.verify = verify
    }

    /// Runs `body` on a connection that no other thread uses meanwhile. Each statement has its own snapshot.
    ///
    /// - Throws: `DatabaseError`, or what `body` throws.
    func read<Result>(_ body: (Reader) throws -> Result) throws -> Result {
        let reader = try state.withLock { $0.idle.popLast() } ?? open()
        defer {
            state.withLock { state in
                if state.idle.count < kept, !state.isClosed { state.idle.append(reader) }
            }
        }
        return try body(reader)
    }

    private func open() throws -> Reader {
        let reader = try Reader(path: path)
        try verify()
        return reader
    }

    /// Closes idle connections; those in use close when they are done.
    func close() {
        state.withLock { state in
            state.isClosed = true
            state.idle = []
        }
    }

    /// One read-only connection with its prepared statements. Used by one thread at a time.
    final class Reader: @unchecked Sendable, StatementSource {
        let connection: OpaquePointer
        private var statements: [String: OpaquePointer] = [:]

        init(path: String) throws {
            var connection: OpaquePointer?
            let code = sqlite3_open_v2(path, &connection, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nil)
            guard code == SQLITE_OK, let connection else {
                sqlite3_close_v2(connection)
                throw DatabaseError(resultCode: ResultCode(rawValue: code))
            }
            self.connection = connection
            sqlite3_extended_result_codes(connection, 1)
            sqlite3_busy_timeout(connection, 5000)
            sqlite3_exec(connection, "PRAGMA cache_size = -2048", nil, nil, nil)
        }

        deinit {
            for statement in statements.values { sqlite3_finalize(statement) }
            sqlite3_close_v2(connection)
        }

        func statement(_ sql: String) throws -> OpaquePointer {
            if let statement = statements[sql] { return statement }
            var statement: OpaquePointer?
            let code = sqlite3_prepare_v3(connection, sql, -1, CUnsignedInt(SQLITE_PREPARE_PERSISTENT), &statement, nil)
            guard code == SQLITE_OK, let statement else {
                throw DatabaseError(
                    resultCode: ResultCode(rawValue: code), message: String(cString: sqlite3_errmsg(connection)))
            }
            statements[sql] = statement
            return statement
        }
    }
}
