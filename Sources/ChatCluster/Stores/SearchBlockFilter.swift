import ChatCore
import MySQLClient

/// Has the server look through blocks, so that it sends the texts only of those that match. It compares bytes.
///
/// MariaDB's `REGEXP` looks for the first byte of the pattern with `memchr`, and tries the pattern there: several times
/// as fast as `LOCATE` for a rare byte, and slower for a common one. MySQL's refuses binary columns.
struct SearchBlockFilter {
    /// The text of a block that matches, NULL for others; for a list of columns.
    let column: String
    let parameters: [MySQLValue]

    init(_ needle: SearchNeedle, isMariaDB: Bool) {
        let (bytes, rarest) = (needle.bytes, needle.rarest)
        if isMariaDB, needle.hasRareByte {
            column = "IF((folded REGEXP ?) IS FALSE, NULL, folded)"
            parameters = [.text(Self.pattern(bytes, from: rarest))]
        } else {
            // What begins with the rarest byte is tried least often, and few blocks are left for the whole.
            let parts = rarest == 0 ? [bytes] : [Array(bytes[rarest...]), bytes]
            column = "IF(\(parts.map { _ in "LOCATE(?, folded) > 0" }.joined(separator: " AND ")), folded, NULL)"
            parameters = parts.map { .bytes($0) }
        }
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
