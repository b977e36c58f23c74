import CMariaDB

/// A prepared statement with its memory for parameters and rows. Only for its connection's thread.
final class Statement {
    let handle: UnsafeMutablePointer<MYSQL_STMT>
    let parameters: ParameterBuffer
    private(set) var columns: ResultColumns?
    /// When it was used last, in uses of the cache.
    var lastUse: UInt64 = 0

    /// - Parameter handle: prepared; closed at the end.
    init(prepared handle: UnsafeMutablePointer<MYSQL_STMT>) {
        self.handle = handle
        parameters = ParameterBuffer(count: Int(mysql_stmt_param_count(handle)))
    }

    /// Closes the statement at the server; after `mysql_close` it only frees the memory.
    deinit { mysql_stmt_close(handle) }

    /// Whether the execution has a result set, empty or not.
    var hasRows: Bool { mysql_stmt_field_count(handle) > 0 }

    /// Prepares to fetch the result.
    ///
    /// - Returns: nil if the library refuses the columns.
    func bindColumns() -> ResultColumns? {
        let fields = UnsafeBufferPointer(
            start: mariadb_stmt_fetch_fields(handle), count: Int(mysql_stmt_field_count(handle)))
        if columns?.fits(fields) != true { columns = ResultColumns(fields) }
        guard let columns, columns.bind(to: handle) else { return nil }
        return columns
    }
}

/// A connection's prepared statements, by their text; the least recently used one makes room for a new one.
struct StatementCache {
    private let capacity: Int
    private var statements: [String: Statement] = [:]
    private var uses: UInt64 = 0

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { statements.count }

    mutating func statement(_ sql: String) -> Statement? {
        guard let statement = statements[sql] else { return nil }
        uses += 1
        statement.lastUse = uses
        return statement
    }

    mutating func insert(_ statement: Statement, for sql: String) {
        if statements.count >= capacity, let oldest = statements.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            statements[oldest.key] = nil
        }
        uses += 1
        statement.lastUse = uses
        statements[sql] = statement
    }

    mutating func remove(_ sql: String) { statements[sql] = nil }

    mutating func removeAll() { statements = [:] }
}
