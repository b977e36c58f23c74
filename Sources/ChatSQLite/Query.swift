import GRDB
import GRDBSQLite

/// A connection that prepares a statement once and keeps it as long as it is open.
protocol StatementSource {
    func statement(_ sql: String) throws -> OpaquePointer
}

extension Database: StatementSource {
    func statement(_ sql: String) throws -> OpaquePointer { try cachedStatement(sql: sql).sqliteStatement }
}

/// A prepared statement: bind, step, read columns by index; again with other arguments if need be.
///
/// GRDB keeps the writing connection, its transactions and the migrations. Binding and reading go straight to SQLite's
/// own functions, because GRDB boxes every value. Made and used within one database access; resets the statement when
/// it ends.
struct Query: ~Copyable {
    private let handle: OpaquePointer

    enum Value {
        case integer(Int64)
        case text(String)
        case blob([UInt8])
        /// The address of what lives as long as the statement runs, and its type as SQLite compares it.
        case pointer(UInt, StaticString)
        case null
    }

    /// - Parameter sql: with `?` where `rebind` puts its arguments, in order.
    init(_ source: some StatementSource, _ sql: String) throws {
        self.handle = try source.statement(sql)
        sqlite3_reset(handle)
    }

    /// - Parameter sql: with `?` for each of `arguments`, in order.
    init(_ source: some StatementSource, _ sql: String, _ arguments: Value...) throws {
        try self.init(source, sql, values: arguments)
    }

    init(_ source: some StatementSource, _ sql: String, values: [Value]) throws {
        let handle = try source.statement(sql)
        try Self.rebind(values, to: handle)
        self.handle = handle
    }

    deinit { sqlite3_reset(handle) }

    /// Restarts with other arguments.
    func rebind(_ arguments: Value...) throws { try Self.rebind(arguments, to: handle) }

    /// Moves to the next row.
    ///
    /// - Returns: false after the last one.
    /// - Throws: `DatabaseError`.
    func next() throws -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code: throw Self.failure(code, handle)
        }
    }

    /// Runs to the end, for what it changes.
    func run() throws { while try next() {} }

    func isNull(_ column: CInt) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

    /// 0 for NULL.
    func integer(_ column: CInt) -> Int64 { sqlite3_column_int64(handle, column) }

    func text(_ column: CInt) -> String { String(decoding: bytes(column), as: UTF8.self) }

    /// The column's own memory, as SQLite holds it: valid until the next step.
    func bytes(_ column: CInt) -> UnsafeRawBufferPointer {
        // The pointer first: asking for the length before would let SQLite convert the text afterwards.
        let start = sqlite3_column_blob(handle, column)
        return UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column)))
    }

    private static func rebind(_ arguments: [Value], to handle: OpaquePointer) throws {
        sqlite3_reset(handle)
        for (index, argument) in arguments.enumerated() { try bind(argument, to: handle, at: CInt(index + 1)) }
    }

    private static func bind(_ value: Value, to handle: OpaquePointer, at index: CInt) throws {
        // SQLITE_TRANSIENT: SQLite takes a copy.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        let code =
            switch value {
            case .integer(let value): sqlite3_bind_int64(handle, index, value)
            case .text(var text):
                text.withUTF8 { utf8 in
                    utf8.withMemoryRebound(to: CChar.self) {
                        sqlite3_bind_text(handle, index, $0.baseAddress, CInt($0.count), transient)
                    }
                }
            case .pointer(let value, let type):
                type.withUTF8Buffer { type in
                    // SQLite keeps the pointer to the type, which is static.
                    type.withMemoryRebound(to: CChar.self) {
                        let value = UnsafeMutableRawPointer(bitPattern: value)
                        return sqlite3_bind_pointer(handle, index, value, $0.baseAddress, nil)
                    }
                }
            case .null: sqlite3_bind_null(handle, index)
            case .blob(let bytes): sqlite3_bind_blob(handle, index, bytes, CInt(bytes.count), transient)
            }
        guard code == SQLITE_OK else { throw Self.failure(code, handle) }
    }

    private static func failure(_ code: CInt, _ handle: OpaquePointer) -> DatabaseError {
        DatabaseError(
            resultCode: ResultCode(rawValue: code), message: String(cString: sqlite3_errmsg(sqlite3_db_handle(handle))))
    }
}

extension Query.Value: ExpressibleByIntegerLiteral {
    init(integerLiteral value: Int64) { self = .integer(value) }
}
