/// The proxies whose `X-Forwarded-For` is believed.
package struct TrustedProxies: Sendable {
    /// An entry of the setting that is no address and no range.
    package struct Malformed: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    package static let most = 256
    /// More proxies than this in a row are not followed.
    package static let mostHops = 32

    private let ranges: [AddressRange]

    /// Trusts none: the header is ignored.
    package init() { ranges = [] }

    /// - Parameter list: addresses and ranges, separated by commas or blanks.
    /// - Throws: `Malformed`.
    package init(_ list: String) throws(Malformed) {
        let entries = list.split { $0 == "," || $0 == " " }
        guard entries.count <= Self.most else {
            throw Malformed(description: "must be at most \(Self.most) addresses or ranges")
        }
        var ranges: [AddressRange] = []
        for entry in entries {
            guard let range = AddressRange(entry) else {
                throw Malformed(
                    description: "must be addresses or ranges such as 10.0.0.0/8, separated by commas, and "
                        + "“\(entry.prefix(50))” is neither")
            }
            ranges.append(range)
        }
        self.ranges = ranges
    }

    /// The address of the client: the right-most that is not a trusted proxy's.
    ///
    /// A client may write what it likes into the header, and proxies append to it. So it is read from the end, each
    /// address being what a trusted proxy has seen, and no further than to one that is not trusted. An entry that is
    /// empty or no address, such as `unknown`, ends it, too: to skip it would believe what the client wrote before it.
    ///
    /// - Parameters:
    ///   - peer: of the connection.
    ///   - forwarded: the values of all `X-Forwarded-For`, in their order.
    package func client(peer: IPAddress, forwarded: [String]) -> IPAddress {
        var client = peer
        guard trusts(peer) else { return client }
        var hops = 0
        for line in forwarded.reversed() {
            // By bytes: some characters would become one with a comma after them.
            for entry in line.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).reversed() {
                let entry = Substring(entry).trimmingBlanks
                hops += 1
                // The proxy that wrote it is the last who is known.
                guard hops <= Self.mostHops, let address = Self.address(entry) else { return client }
                client = address
                guard trusts(address) else { return client }
            }
        }
        return client
    }

    package func trusts(_ address: IPAddress) -> Bool { ranges.contains { $0.contains(address) } }

    /// Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
    private static func address(_ entry: some StringProtocol) -> IPAddress? {
        if let address = IPAddress(entry) { return address }
        guard entry.utf8.count <= 60 else { return nil }
        if entry.first == "[" {
            let parts = entry.dropFirst().split(separator: "]", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[1].isEmpty || isPort(parts[1]), parts[0].contains(":") else { return nil }
            return IPAddress(parts[0])
        }
        guard let colon = entry.firstIndex(of: ":"), isPort(entry[colon...]) else { return nil }
        return IPAddress(entry[..<colon])
    }

    /// With its colon.
    private static func isPort(_ text: some StringProtocol) -> Bool {
        text.first == ":" && Int64(digits: Substring(text.dropFirst())).map { $0 < 65_536 } == true
    }
}
