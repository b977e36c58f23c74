package import NIOCore

/// The client of a connection: an IPv4 address, or the first 64 bits of an IPv6 address, because a subscriber gets
/// such a prefix (RFC 6177).
package struct ClientAddress: Hashable, Sendable {
    private let high: UInt64
    private let low: UInt64

    /// - Parameter address: if nil, or not an internet address, all such clients count as one.
    package init(_ address: SocketAddress?) {
        let bytes = address?.withSockAddr { pointer, size in Array(UnsafeRawBufferPointer(start: pointer, count: size))
        }
        func word(_ range: Range<Int>) -> UInt64 { (bytes ?? [])[range].reduce(0) { $0 << 8 | UInt64($1) } }
        switch address {
        case .v4: (high, low) = (0, word(4..<8))
        case .v6:
            // An IPv4 client on a dual-stack socket: ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
            let isMapped = word(8..<16) == 0 && word(16..<20) == 0xFFFF
            (high, low) = isMapped ? (0, word(20..<24)) : (word(8..<16), .max)
        default: (high, low) = (.max, .max)
        }
    }

    /// `192.0.2.7`, or `2001:db8:0:1::/64`; nil if it is not known.
    package var text: String? {
        switch (high, low) {
        case (.max, .max): nil
        case (0, 0...0xFFFF_FFFF):
            [24, 16, 8, 0].map { String(low >> UInt64($0) & 0xFF) }.joined(separator: ".")
        default:
            [48, 32, 16, 0].map { String(high >> UInt64($0) & 0xFFFF, radix: 16) }.joined(separator: ":") + "::/64"
        }
    }
}
