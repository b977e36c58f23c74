import ChatCore
import MySQLClient

/// Has the server look through blocks, so that it sends the texts only of those that match. It compares bytes.
///
/// MariaDB's `REGEXP` looks for the first byte of the pattern with `memchr`, and tries the pattern there: several times
/// as fast as `LOCATE` for a rare byte, and slower for a common one. MySQL's refuses binary columns.
struct SearchBlockFilter {
    /// Three columns: how long a block's `numbers` are, how long its `times`, and both before its text; NULL for a block
    /// that does not match. So the server sends little of that.
    let columns: String
    let parameters: [MySQLValue]

    init(_ query: SearchQuery, _ needle: SearchNeedle, isMariaDB: Bool) {
        let (bytes, rarest) = (needle.bytes, needle.rarest)
        var conditions: [String] = []
        var parameters: [MySQLValue] = []
        if let after = query.after {
            conditions.append("newest_at > ?")
            parameters.append(.timestamp(after.inDatabase))
        }
        if let before = query.before {
            conditions.append("oldest_at < ?")
            parameters.append(.timestamp(before.inDatabase))
        }
        if isMariaDB, needle.hasRareByte {
            conditions.append("(folded REGEXP ?) IS NOT FALSE")
            parameters.append(.text(Self.pattern(bytes, from: rarest)))
        } else {
            // What begins with the rarest byte is tried least often, and few blocks are left for the whole.
            let parts = rarest == 0 ? [bytes] : [Array(bytes[rarest...]), bytes]
            conditions += parts.map { _ in "LOCATE(?, folded) > 0" }
            parameters += parts.map { .bytes($0) }
        }
        columns = """
            LENGTH(numbers), LENGTH(times),
            IF(\(conditions.joined(separator: " AND ")), CONCAT(numbers, times, folded), NULL)
            """
        self.parameters = parameters
    }

    /// Matches from the byte at `start`, and looks behind for those before it.
    private static func pattern(_ bytes: [UInt8], from start: Int) -> String {
        func escaped(_ bytes: ArraySlice<UInt8>) -> String {
            bytes.map { "\\x" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        let behind = start == 0 ? "" : "(?<=\(escaped(bytes[...start])))"
        return escaped(bytes[start...start]) + behind + escaped(bytes[(start + 1)...])
    }
}

extension ScannedBlock {
    /// - Parameter column: that of `first`, before `last` and the filter's.
    init(_ row: borrowing MySQLRow, from column: Int, for needle: SearchNeedle) {
        let span = row.integer(column)...max(row.integer(column), row.integer(column + 1))
        guard !row.isNull(column + 4) else {
            self.init(span: span)
            return
        }
        let bytes = row.bytes(column + 4)
        let numbers = min(max(0, Int(row.integer(column + 2))), bytes.count)
        let end = min(numbers + max(0, Int(row.integer(column + 3))), bytes.count)
        self.init(
            span: span, numbers: UnsafeRawBufferPointer(rebasing: bytes[..<numbers]),
            times: UnsafeRawBufferPointer(rebasing: bytes[numbers..<end]),
            folded: UnsafeRawBufferPointer(rebasing: bytes[end...]), for: needle)
    }
}

extension Timestamp {
    /// Within what a `DATETIME` takes: the years 1 to 9999.
    var inDatabase: Int64 { min(max(microseconds, -62_135_596_800_000_000), Self.years0To9999.upperBound) }
}
