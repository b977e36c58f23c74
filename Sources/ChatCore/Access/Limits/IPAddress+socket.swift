package import NIOCore

extension IPAddress {
    /// What stands for a client that has no internet address, as in a socket of the file system: all of them count as one.
    package static let unspecified = IPAddress(bits: 0)

    /// - Parameter address: if nil, or not an internet address, `unspecified`.
    package init(_ address: SocketAddress?) {
        let start: Int
        switch address {
        // Where `sockaddr_in` and `sockaddr_in6` have it.
        case .v4: start = 4
        case .v6: start = 8
        default:
            self = .unspecified
            return
        }
        let value = address?.withSockAddr { pointer, size in
            UnsafeRawBufferPointer(start: pointer, count: size)[start..<(start == 4 ? 8 : 24)]
                .reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        }
        self.init(bits: start == 4 ? Self.mapped | (value ?? 0) : value ?? 0)
    }
}
