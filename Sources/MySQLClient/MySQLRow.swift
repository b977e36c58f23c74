import CMariaDB

/// The current row. Its memory belongs to the statement and is reused for the next row: it cannot be kept.
///
/// Columns count from 0. Reading a column as a wrong type, such as the bytes of an integer, is a programming error.
package struct MySQLRow: ~Copyable {
    private let columns: ResultColumns

    init(_ columns: ResultColumns) { self.columns = columns }

    package func isNull(_ index: Int) -> Bool { columns.isNull(index) }

    /// 0 for NULL. For a text or a `DECIMAL`, such as the result of `SUM`, the integer at its start.
    package func integer(_ index: Int) -> Int64 {
        if columns.isNull(index) { return 0 }
        if columns.kinds[index] == .integer { return columns.load(index, as: Int64.self) }
        let digits = bytes(index).prefix { $0 == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= $0 }
        return Int64(String(decoding: digits, as: UTF8.self)) ?? 0
    }

    /// Empty for NULL; for an integer its digits.
    package func text(_ index: Int) -> String {
        if columns.kinds[index] == .integer { return columns.isNull(index) ? "" : String(integer(index)) }
        return String(decoding: bytes(index), as: UTF8.self)
    }

    /// A text's or a blob's memory, valid as long as the row. Empty for NULL.
    package func bytes(_ index: Int) -> UnsafeRawBufferPointer {
        if columns.isNull(index) { return UnsafeRawBufferPointer(start: nil, count: 0) }
        precondition(columns.kinds[index] == .bytes, "column \(index) is no text and no blob")
        return columns.bytes(index)
    }

    /// A `DATETIME` or `TIMESTAMP` in microseconds since 1970 UTC. 0 for NULL.
    package func timestamp(_ index: Int) -> Int64 {
        if columns.isNull(index) { return 0 }
        precondition(columns.kinds[index] == .time, "column \(index) is no DATETIME and no TIMESTAMP")
        return MySQLTimestamp.microseconds(columns.load(index, as: MYSQL_TIME.self))
    }
}
