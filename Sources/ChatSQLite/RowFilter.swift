import ChatCore
import GRDB
import GRDBSQLite

/// Looks at rows within the statement that walks them, by a function of its own: so SQLite returns only those that match.
/// To return a row takes it half as long again as to step to it, whatever is done with it then.
final class RowFilter {
    /// For a statement's WHERE; arguments: the filter. Every connection must have it (`register`).
    static let condition = "luciq_matches(?, number, body)"
    private static let type: StaticString = "luciq"

    private var rows: SearchRows
    /// Why the last statement was ended.
    private(set) var failure: (any Error)?
    /// The number of the last row that was looked at.
    private(set) var last: Int64 = 0

    init(_ rows: SearchRows) { self.rows = rows }

    /// Passes to `each` the rows of a walk that match, until it returns false.
    ///
    /// - Parameter start: the number before the first one.
    /// - Throws: what looking at the rows throws, with `last` where it ended; what `each` throws.
    func run(_ walk: borrowing Query, after start: Int64, each: (borrowing Query) throws -> Bool) throws {
        (last, failure) = (start, nil)
        do {
            while try walk.next(), try each(walk) {}
        } catch {
            throw failure ?? error
        }
    }

    var argument: Query.Value { .pointer(UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()), Self.type) }

    private func matches(_ body: UnsafeRawBufferPointer, _ number: Int64) throws -> Bool {
        let isMatch = try rows.matches(body)
        last = number
        return isMatch
    }

    /// Makes the function known to a connection.
    static func register(_ connection: OpaquePointer?) {
        sqlite3_create_function_v2(
            connection, "luciq_matches", 3, SQLITE_UTF8, nil,
            { context, _, arguments in
                guard let arguments,
                    let pointer = RowFilter.type.withUTF8Buffer({ type in
                        type.withMemoryRebound(to: CChar.self) { sqlite3_value_pointer(arguments[0], $0.baseAddress) }
                    })
                else { return sqlite3_result_int(context, 1) }
                let filter = Unmanaged<RowFilter>.fromOpaque(pointer).takeUnretainedValue()
                let body = sqlite3_value_blob(arguments[2])
                let bytes = UnsafeRawBufferPointer(start: body, count: Int(sqlite3_value_bytes(arguments[2])))
                do {
                    let isMatch = try filter.matches(bytes, sqlite3_value_int64(arguments[1]))
                    sqlite3_result_int(context, isMatch ? 1 : 0)
                } catch {
                    filter.failure = error
                    sqlite3_result_error_code(context, SQLITE_ABORT)
                }
            }, nil, nil, nil)
    }
}
