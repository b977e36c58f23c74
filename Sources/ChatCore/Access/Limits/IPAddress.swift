#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// An address of IPv4 or IPv6. One of IPv4 is the same when it is mapped (`::ffff:192.0.2.1`, RFC 4291, 2.5.5.2), as a
/// socket that listens on both writes it.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// As IPv6.
    let bits: UInt128

    init(bits: UInt128) { self.bits = bits }

    /// - Returns: nil unless it is an address alone: no port, no brackets, no zone.
    package init?(_ text: some StringProtocol) {
        // Nothing longer is an address; and a C function would stop at a NUL.
        guard (2...45).contains(text.utf8.count), text.utf8.allSatisfy({ $0.isInAddress }) else { return nil }
        let isV6 = text.utf8.contains(UInt8(ascii: ":"))
        var bytes: [UInt8] = Array(repeating: 0, count: 16)
        guard inet_pton(isV6 ? AF_INET6 : AF_INET, String(text), &bytes) == 1 else { return nil }
        let value = bytes.prefix(isV6 ? 16 : 4).reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        bits = isV6 ? value : Self.mapped | value
    }

    /// This machine: 127.0.0.0/8 (RFC 1122, 3.2.1.3), or ::1 (RFC 4291, 2.5.3).
    package var isLoopback: Bool { bits == 1 || isV4 && bits >> 24 & 0xFF == 127 }

    package var isV4: Bool { bits >> 32 == Self.mapped >> 32 }

    /// What is limited in an address's stead: of IPv6 the first 64 bits, since a customer has all addresses below them.
    package var network: IPAddress { isV4 ? self : IPAddress(bits: (bits >> 64) << 64) }

    /// The network of its first bits.
    ///
    /// - Parameter length: 0 to 32 for an address of IPv4, else to 128.
    package func prefix(_ length: Int) -> IPAddress {
        let length = isV4 ? length + 96 : length
        return IPAddress(bits: length == 0 ? 0 : bits & (~0 << (128 - length)))
    }

    package var description: String {
        if isV4 {
            return (0..<4).reversed().map { String(UInt8(truncatingIfNeeded: bits >> ($0 * 8))) }.joined(separator: ".")
        }
        let bytes = (0..<16).reversed().map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
        var text = [CChar](repeating: 0, count: 46)
        guard inet_ntop(AF_INET6, bytes, &text, socklen_t(text.count)) != nil else {
            preconditionFailure("46 bytes hold every address")
        }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Appends its text, for a line of the log, which every request has.
    package func append(to line: inout [UInt8]) {
        guard isV4 else { return line.append(contentsOf: description.utf8) }
        for place in (0..<4).reversed() {
            let byte = UInt8(truncatingIfNeeded: bits >> (place * 8))
            if byte >= 100 { line.append(UInt8(ascii: "0") + byte / 100) }
            if byte >= 10 { line.append(UInt8(ascii: "0") + byte / 10 % 10) }
            line.append(UInt8(ascii: "0") + byte % 10)
            if place > 0 { line.append(UInt8(ascii: ".")) }
        }
    }

    static let mapped: UInt128 = 0xFFFF << 32
}

/// All addresses with the same first bits, in CIDR notation (RFC 4632; RFC 4291, 2.3).
package struct AddressRange: Hashable, Sendable {
    let first: IPAddress
    /// How many bits they share: 0 to 128, as IPv6.
    let width: Int

    /// - Parameter width: 0 to 128, as IPv6.
    init(of address: IPAddress, width: Int) {
        first = IPAddress(bits: address.bits & Self.mask(width))
        self.width = width
    }

    /// - Parameter text: `10.0.0.0/8`, `2001:db8::/32`, or an address for itself alone.
    /// - Returns: nil for anything else, and if bits after the prefix are set: `10.1.2.3/8` is more likely a mistake
    ///   than it means 10.0.0.0/8.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let part = parts.first, let first = IPAddress(part) else { return nil }
        // A mapped address counts its bits as one of IPv6.
        let isWrittenV4 = !part.contains(":")
        var width = 128
        if parts.count == 2 {
            guard let length = Int64(digits: Substring(parts[1])), String(length) == parts[1],
                length <= (isWrittenV4 ? 32 : 128)
            else { return nil }
            width = Int(length) + (isWrittenV4 ? 96 : 0)
        }
        guard first.bits & Self.mask(width) == first.bits else { return nil }
        self.first = first
        self.width = width
    }

    /// In CIDR notation; an address of IPv4 alone as it is written.
    var text: String {
        if first.isV4, width == 128 { return first.description }
        return "\(first)/\(first.isV4 ? width - 96 : width)"
    }

    /// No range of IPv6 has an address of IPv4 in it, not even `::/0`.
    package func contains(_ address: IPAddress) -> Bool {
        address.isV4 == first.isV4 && address.bits & Self.mask(width) == first.bits
    }

    private static func mask(_ width: Int) -> UInt128 { width == 0 ? 0 : ~0 << (128 - width) }
}

extension UInt8 {
    fileprivate var isInAddress: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: ":"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
