import Hummingbird

/// The parameters of a query string, read as forms write them: `+` is a space, the last of a repeated name counts.
struct QueryItems {
    private var values: [String: String?] = [:]

    /// - Parameter query: what follows the `?`.
    init(_ query: String?) {
        for item in (query ?? "").split(separator: "&") {
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(parts[0]) else { continue }
            values[name] = Self.decoded(parts.count > 1 ? parts[1] : "")
        }
    }

    /// - Returns: nil when absent; `.some(nil)` when its bytes are not valid UTF-8 or a `%` is not followed by two digits.
    subscript(name: String) -> String?? { values[name] }

    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"):
                bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                let digits = rest.prefix(2)
                guard digits.count == 2, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
                    let decoded = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
                else { return nil }
                bytes.append(decoded)
                rest = rest.dropFirst(2)
            default:
                bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
