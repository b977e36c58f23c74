/// The parameters of a query string, read as forms write them: `+` is a space, the last of a repeated name counts.
///
/// Names are compared by their bytes. Comparing Swift strings normalises them first, which is slow for some inputs.
struct QueryItems {
    private var items: [(name: [UInt8], value: String?)] = []

    /// - Parameter query: the part after the `?`.
    init(_ query: Substring?) {
        for item in (query ?? "").utf8.split(separator: UInt8(ascii: "&")) {
            let parts = item.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = String(formEncoded: parts[0]) else { continue }
            items.append((Array(name.utf8), parts.count > 1 ? String(formEncoded: parts[1]) : ""))
        }
    }

    /// - Returns: nil if absent; `.some(nil)` if it is not valid UTF-8, or a `%` is not followed by two digits.
    subscript(name: StaticString) -> String?? {
        name.withUTF8Buffer { name in items.last { $0.name.elementsEqual(name) }.map(\.value) }
    }
}
