/// A host and a port, as in `Host` and in an origin (RFC 9110, 7.2).
package struct Authority: Equatable, Sendable {
    /// In lower case; an IPv6 address in its brackets.
    package let host: String
    /// Nil if there is none.
    package let port: Int?

    /// - Returns: nil unless it is a DNS name or an IP address, with or without a port. RFC 3986 allows more in a name
    ///   (`%41`, `a,b`), but no resolvable name has that.
    package init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard let end = Self.endOfHost(bytes) else { return nil }
        host = String(decoding: bytes[..<end], as: UTF8.self).lowercased()
        let digits = bytes[end...].dropFirst()
        guard !digits.isEmpty else {
            port = nil
            return
        }
        guard digits.count <= 5, let number = Int(String(decoding: digits, as: UTF8.self)), number <= 65_535 else {
            return nil
        }
        port = number
    }

    /// - Returns: the index of the port's colon, or the end; nil if it is malformed.
    private static func endOfHost(_ bytes: [UInt8]) -> Int? {
        var end = 0
        if bytes.first == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")), bracket > 2,
                bytes[1..<bracket].allSatisfy({ $0.isHexDigit || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
            else { return nil }
            end = bracket + 1
        } else {
            while end < bytes.count, bytes[end].isInName { end += 1 }
            guard end > 0 else { return nil }
        }
        guard end < bytes.count else { return end }
        guard bytes[end] == UInt8(ascii: ":"), bytes[(end + 1)...].allSatisfy(\.isDigit) else { return nil }
        return end
    }

    /// Whether the host is an IP address, which DNS cannot redirect.
    var isAddress: Bool {
        if host.hasPrefix("[") { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { !$0.isEmpty && $0.utf8.count <= 3 && $0.utf8.allSatisfy(\.isDigit) }
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }

    fileprivate var isHexDigit: Bool { isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self | 0x20) }

    fileprivate var isInName: Bool {
        isDigit || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20) || self == UInt8(ascii: "-")
            || self == UInt8(ascii: ".") || self == UInt8(ascii: "_") || self == UInt8(ascii: "~")
    }
}
