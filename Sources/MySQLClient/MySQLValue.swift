/// A parameter of a prepared statement.
package enum MySQLValue: Sendable, Equatable {
    case null
    case integer(Int64)
    case text(String)
    case bytes([UInt8])
    /// Microseconds since 1970 UTC, for a `DATETIME(6)`; years 1 to 9999.
    case timestamp(Int64)
}

extension MySQLValue: ExpressibleByIntegerLiteral {
    package init(integerLiteral value: Int64) { self = .integer(value) }
}

extension MySQLValue: ExpressibleByStringLiteral {
    package init(stringLiteral value: String) { self = .text(value) }
}

extension MySQLValue: ExpressibleByNilLiteral {
    package init(nilLiteral: ()) { self = .null }
}

/// The result of a statement.
package struct MySQLResult: Sendable, Equatable {
    /// Rows inserted, deleted, or changed by an update; rows that an update left equal do not count.
    package let affectedRows: Int64
    /// The first `AUTO_INCREMENT` value that the statement made, or 0.
    package let lastInsertID: Int64
}
