import CMariaDB

/// The library's connection and its blocking calls.
///
/// Not thread-safe: `MySQLConnection` makes all calls on its own thread.
final class Session: @unchecked Sendable {
    static let statementCapacity = 128

    /// The version in the server's greeting. Set once, before the connection is used.
    private(set) var serverVersion = ""
    /// The facts at connecting. Set once, like the version.
    var facts = ServerFacts([:], version: "")
    private var handle: UnsafeMutablePointer<MYSQL>?
    private var statements = StatementCache(capacity: statementCapacity)
    private var isBroken = false
    private var isReading = false
    /// Whether the server has refused a statement because it is read-only, or a node outside its cluster.
    private(set) var isRefused = false

    var isUsable: Bool { !isBroken && handle?.pointee.net.pvio != nil }
    var isInTransaction: Bool { handle.map { $0.pointee.server_status & UInt32(SERVER_STATUS_IN_TRANS) != 0 } ?? false }
    var statementCount: Int { statements.count }

    /// Takes over an open connection of the library.
    func open(_ handle: UnsafeMutablePointer<MYSQL>) {
        self.handle = handle
        serverVersion = String(cString: mysql_get_server_info(handle))
    }

    /// Closes the connection, without waiting for an answer.
    func close() {
        guard let handle else { return }
        self.handle = nil
        // In this order no statement needs a message to the server.
        mysql_close(handle)
        statements.removeAll()
    }

    /// Marks the connection as unusable, because its state is unknown.
    func setBroken() { isBroken = true }

    func setRefused() { isRefused = true }

    func ping() throws(MySQLError) {
        let handle = try ready()
        if mysql_ping(handle) != 0 { throw failure(handle) }
    }

    func run(_ sql: String) throws(MySQLError) {
        let handle = try ready()
        if mysql_real_query(handle, sql, UInt(sql.utf8.count)) != 0 { throw failure(handle) }
        while true {
            if let rows = mysql_use_result(handle) {
                while mysql_fetch_row(rows) != nil {}
                mysql_free_result(rows)
            }
            if mysql_errno(handle) != 0 { throw failure(handle) }
            switch mysql_next_result(handle) {
            case 0: continue
            case -1: return
            default: throw failure(handle)
            }
        }
    }

    /// Sends a statement as text, not prepared, and reads its result as text. NULL is empty.
    func texts(_ sql: String) throws(MySQLError) -> [[String]] {
        let handle = try ready()
        guard mysql_real_query(handle, sql, UInt(sql.utf8.count)) == 0, let rows = mysql_store_result(handle) else {
            throw failure(handle)
        }
        defer { mysql_free_result(rows) }
        let columns = 0..<Int(mysql_num_fields(rows))
        var texts: [[String]] = []
        while let row = mysql_fetch_row(rows) {
            texts.append(columns.map { column in row[column].map { String(cString: $0) } ?? "" })
        }
        return texts
    }

    func execute(_ sql: String, _ parameters: [MySQLValue]) throws(MySQLError) -> MySQLResult {
        let (handle, statement) = try start(sql, parameters)
        if statement.hasRows {
            try discardRows(handle, statement)
            return MySQLResult(affectedRows: 0, lastInsertID: 0)
        }
        return MySQLResult(
            affectedRows: Int64(clamping: mysql_stmt_affected_rows(statement.handle)),
            lastInsertID: Int64(clamping: mysql_stmt_insert_id(statement.handle)))
    }

    func query(
        _ sql: String, _ parameters: [MySQLValue], each: (borrowing MySQLRow) throws -> Bool
    ) throws {
        let (handle, statement) = try start(sql, parameters)
        guard statement.hasRows else { return }
        guard let columns = statement.bindColumns() else { throw failure(handle, statement.handle) }
        isReading = true
        defer { isReading = false }
        do {
            while try fetch(handle, statement, columns) {
                if try !each(MySQLRow(columns)) { return try discardRows(handle, statement) }
            }
        } catch let error as MySQLError where error.kind.isFatal {
            throw error
        } catch {
            // The reader's error wins; the next call reports a connection that is lost while skipping the rest.
            try? discardRows(handle, statement)
            throw error
        }
    }

    /// - Returns: false after the last row.
    private func fetch(
        _ handle: UnsafeMutablePointer<MYSQL>, _ statement: Statement, _ columns: ResultColumns
    ) throws(MySQLError) -> Bool {
        switch mysql_stmt_fetch(statement.handle) {
        case 0: return true
        case MYSQL_NO_DATA: return false
        case MYSQL_DATA_TRUNCATED where columns.grow(statement.handle): return true
        default: throw failure(handle, statement.handle)
        }
    }

    /// Skips the remaining rows: without a cursor the server sends them all.
    private func discardRows(_ handle: UnsafeMutablePointer<MYSQL>, _ statement: Statement) throws(MySQLError) {
        mysql_stmt_free_result(statement.handle)
        if mysql_errno(handle) != 0 { throw failure(handle) }
    }

    private func start(
        _ sql: String, _ parameters: [MySQLValue]
    ) throws(MySQLError) -> (UnsafeMutablePointer<MYSQL>, Statement) {
        let handle = try ready()
        let statement = try prepared(sql, handle)
        try statement.parameters.bind(parameters, to: statement.handle)
        guard mysql_stmt_execute(statement.handle) == 0 else {
            let error = failure(handle, statement.handle)
            // The tables have changed under the statement: prepare it again.
            if [1243, 1615, 2057].contains(error.number) { statements.remove(sql) }
            throw error
        }
        return (handle, statement)
    }

    private func prepared(_ sql: String, _ handle: UnsafeMutablePointer<MYSQL>) throws(MySQLError) -> Statement {
        if let statement = statements.statement(sql) { return statement }
        guard let prepared = mysql_stmt_init(handle) else { throw failure(handle) }
        guard mysql_stmt_prepare(prepared, sql, UInt(sql.utf8.count)) == 0 else {
            let error = failure(handle, prepared)
            mysql_stmt_close(prepared)
            throw error
        }
        let statement = Statement(prepared: prepared)
        statements.insert(statement, for: sql)
        return statement
    }

    private func ready() throws(MySQLError) -> UnsafeMutablePointer<MYSQL> {
        guard let handle else { throw MySQLError(.closed, "The connection is closed") }
        guard !isReading else { throw MySQLError(.other, "The rows of another query are still being read") }
        guard isUsable else { throw MySQLError(.connectionLost, "The connection was lost before") }
        return handle
    }

    /// The last error. The library stores some errors in the statement and some in the connection.
    private func failure(
        _ handle: UnsafeMutablePointer<MYSQL>, _ statement: UnsafeMutablePointer<MYSQL_STMT>? = nil
    ) -> MySQLError {
        let error =
            if let statement, mysql_stmt_errno(statement) != 0 {
                MySQLError(
                    number: Int(mysql_stmt_errno(statement)), message: String(cString: mysql_stmt_error(statement)))
            } else {
                MySQLError(number: Int(mysql_errno(handle)), message: String(cString: mysql_error(handle)))
            }
        if error.kind == .readOnly || error.kind == .notReady { isRefused = true }
        // 1153: the server closes the connection after a packet that is too large. 2014: commands are out of sync.
        if error.kind.isFatal || [1153, 2014].contains(error.number) { isBroken = true }
        return error
    }
}
