import Hummingbird

/// The parameters of a query string, read as forms write them: `+` is a space, the last of a repeated name counts.
struct QueryItems {
    private var values: [String: String?] = [:]

    /// - Parameter query: what follows the `?`.
    init(_ query: String?) {
        for item in (query ?? "").split(separator: "&") {
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = String(formEncoded: parts[0].utf8) else { continue }
            values[name] = String(formEncoded: (parts.count > 1 ? parts[1] : "").utf8)
        }
    }

    /// - Returns: nil when absent; `.some(nil)` when its bytes are not valid UTF-8 or a `%` is not followed by two digits.
    subscript(name: String) -> String?? { values[name] }
}
